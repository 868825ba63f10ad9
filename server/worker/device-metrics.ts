import type { Metrics } from '../metrics/metrics.js';
import type { KnownDevices } from './known-devices.js';
import type { TestedGraph } from './methods.js';

type DeviceMetrics = Pick<Metrics, 'deviceInfo' | 'deviceUp' | 'deviceMemory' | 'libraryInfo'>;
type TilingMetrics = Pick<Metrics, 'tilingExact' | 'tilingDifference'>;

/** Sets the gauges of the devices that are known: of others, as before a driver was updated, nothing is left. */
export function setDeviceMetrics(
  { deviceInfo, deviceUp, deviceMemory, libraryInfo }: DeviceMetrics,
  { accounts, environment }: Pick<KnownDevices, 'accounts' | 'environment'>,
): void {
  for (const gauge of [deviceInfo, deviceUp, deviceMemory, libraryInfo]) gauge.reset();
  for (const [name, version] of Object.entries(environment?.versions ?? {}))
    libraryInfo.set({ name, version }, 1);
  for (const { device, failure, facts } of accounts) {
    const { name, driver, precision, memoryBytes } = facts;
    deviceInfo.set({ device, name, driver: driver ?? '', precision }, 1);
    deviceUp.set({ device }, failure === null ? 1 : 0);
    if (memoryBytes !== null) deviceMemory.set({ device }, memoryBytes);
  }
}

/** Sets the gauges of a graph whose tiles were tested: the latest of a model's versions counts. */
export function setTilingMetrics(
  { tilingExact, tilingDifference }: TilingMetrics,
  { model, output, symmetries, threshold, exact, largestDifference }: TestedGraph,
): void {
  const graph = { model, output, symmetries: symmetries ? '1' : '0', threshold: threshold ? '1' : '0' };
  tilingExact.set(graph, exact ? 1 : 0);
  if (largestDifference === null) tilingDifference.remove(graph);
  else tilingDifference.set(graph, largestDifference);
}
