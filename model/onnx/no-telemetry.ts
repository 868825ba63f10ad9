// ONNX Runtime would report its use to its vendor, and leave logs in /tmp. It reads this variable when its library is
// loaded, which must not be in another thread first: the environment of such a thread is a copy.
process.env.ORT_DISABLE_TELEMETRY = '1';
