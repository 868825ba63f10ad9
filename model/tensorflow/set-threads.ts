/**
 * Sets the threads that TensorFlow computes with. It reads them when its library is loaded, for the whole process and
 * from the process's own environment, which that of a lane's thread is a copy of: so this is called before a lane is
 * started.
 *
 * @param threads at least 1
 */
export function setThreads(threads: number): void {
  process.env.TF_NUM_INTRAOP_THREADS = String(threads);
  // operators of a U-Net run one after the other
  process.env.TF_NUM_INTEROP_THREADS = '1';
  // what fails is thrown as well; a machine without a GPU is no failure
  process.env.TF_CPP_MIN_LOG_LEVEL = '3';
}
