import '../onnx/no-telemetry.js';
import { prepareCuda } from './prepare.js';

/** The process that `tryCuda` forks: tries the device, and sends what is wrong with it, or null. */
const [folder] = process.argv.slice(2);
let wrong: string | null = null;
try {
  await prepareCuda(folder!);
  const { tryDevice } = await import('../onnx/providers.js');
  await tryDevice({ provider: 'cuda' });
} catch (error) {
  wrong = (error as Error).message;
}
process.send!(wrong);
process.disconnect();
