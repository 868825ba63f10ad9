/**
 * Prepares this process for TensorFlow, which reads all of this when its library is loaded, from the process's own
 * environment: that of a lane's thread is a copy. So this is called before a lane is started.
 *
 * GPUs are hidden from it, whichever addon is installed: it would choose one by itself, and say neither which, nor that it
 * rounds products to 19 bits there. What this process starts from now on sees none either.
 *
 * @param threads that it computes with, in the whole process; at least 1
 */
export function prepareTensorFlow(threads: number): void {
  process.env.TF_NUM_INTRAOP_THREADS = String(threads);
  // operators of a U-Net run one after the other
  process.env.TF_NUM_INTEROP_THREADS = '1';
  process.env.CUDA_VISIBLE_DEVICES = '-1';
  // what fails is thrown as well; a machine without a GPU is no failure
  process.env.TF_CPP_MIN_LOG_LEVEL = '3';
}
