import type { UnetConfig } from '../../model/network/unet.js';

/**
 * The paper's network, as PyTorch has it in `rivals/train_torch.py`.
 * @param base channels of the first level
 */
export function networkOf(base: number): UnetConfig {
  return { channels: [1, 2, 4, 8, 16].map((n) => n * base), inputChannels: 1, classes: 2, seed: 1 };
}
