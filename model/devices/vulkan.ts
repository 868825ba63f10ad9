import type { GpuFacts } from './environment.js';

/** Types of Vulkan's devices in the order in which WebGPU prefers them: discrete, integrated, in software. */
const PREFERRED_TYPES = [2, 1, 4];
const NVIDIA = 0x10de;
/** Bytes of `VkPhysicalDeviceProperties` and `VkPhysicalDeviceMemoryProperties`, and more. */
const PROPERTIES_BYTES = 1024;
const MAX_DEVICES = 16;

/**
 * The GPU that WebGPU computes on, according to the system's Vulkan, of which ONNX Runtime says nothing: the first of the
 * type that is preferred. Results may change with it, and with its driver.
 * @returns null where there is no Vulkan
 */
export async function vulkanGpu(): Promise<GpuFacts | null> {
  try {
    const devices = await listDevices();
    const rank = ({ type }: VulkanDevice) => PREFERRED_TYPES.indexOf(type) + 1 || Number.POSITIVE_INFINITY;
    const [first] = devices.toSorted((a, b) => rank(a) - rank(b));
    return first?.facts ?? null;
  } catch {
    return null; // no such library
  }
}

interface VulkanDevice {
  readonly type: number;
  readonly facts: GpuFacts;
}

/** Handles are passed as integers: Vulkan never has them dereferenced. */
async function listDevices(): Promise<VulkanDevice[]> {
  const { default: koffi } = await import('koffi');
  const vulkan = koffi.load('libvulkan.so.1');
  const createInstance = vulkan.func('int vkCreateInstance(void *info, void *allocator, void *instance)');
  const destroyInstance = vulkan.func('void vkDestroyInstance(uint64_t instance, void *allocator)');
  const enumerate = vulkan.func(
    'int vkEnumeratePhysicalDevices(uint64_t instance, void *count, void *devices)',
  );
  const properties = vulkan.func('void vkGetPhysicalDeviceProperties(uint64_t device, void *properties)');
  const memory = vulkan.func('void vkGetPhysicalDeviceMemoryProperties(uint64_t device, void *properties)');

  const info = Buffer.alloc(64);
  info.writeUInt32LE(1); // VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
  const handle = Buffer.alloc(8);
  if (createInstance(info, null, handle) !== 0) return [];
  const instance = handle.readBigUInt64LE();
  try {
    const count = Buffer.alloc(4);
    count.writeUInt32LE(MAX_DEVICES);
    const handles = Buffer.alloc(8 * MAX_DEVICES);
    if (enumerate(instance, count, handles) < 0) return [];
    return Array.from({ length: count.readUInt32LE() }, (_, i) => {
      const device = handles.readBigUInt64LE(8 * i);
      const [known, heaps] = [Buffer.alloc(PROPERTIES_BYTES), Buffer.alloc(PROPERTIES_BYTES)];
      properties(device, known);
      memory(device, heaps);
      return deviceOf(known, heaps);
    });
  } finally {
    destroyInstance(instance, null);
  }
}

/** What `VkPhysicalDeviceProperties` and `VkPhysicalDeviceMemoryProperties` state. */
function deviceOf(known: Buffer, heaps: Buffer): VulkanDevice {
  const [version, vendor, type] = [known.readUInt32LE(4), known.readUInt32LE(8), known.readUInt32LE(16)];
  const text = known.toString('utf8', 20, 276);
  const own = Array.from({ length: heaps.readUInt32LE(260) }, (_, i) => 264 + 16 * i)
    .filter((at) => (heaps.readUInt32LE(at + 8) & 1) === 1) // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    .map((at) => Number(heaps.readBigUInt64LE(at)));
  const name = text.slice(0, text.indexOf('\0')) || 'Vulkan device';
  return {
    type,
    facts: { name, driver: driverOf(vendor, version), memoryBytes: Math.max(0, ...own) || null },
  };
}

/** A driver's version, which NVIDIA packs in its own way. */
function driverOf(vendor: number, version: number): string {
  return vendor === NVIDIA
    ? [version >>> 22, (version >>> 14) & 0xff, (version >>> 6) & 0xff].join('.')
    : [version >>> 22, (version >>> 12) & 0x3ff, version & 0xfff].join('.');
}
