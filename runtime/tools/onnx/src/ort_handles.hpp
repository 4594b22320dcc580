#pragma once

// Handles of ONNX Runtime's C API that free themselves. Shared by the quantizer and the plugin.

#include <memory>
#include <onnxruntime_c_api.h>

namespace skerry_ort {

// The function table of the version that we are compiled against; null if the library is older.
inline const OrtApi* ort() noexcept {
  static const OrtApi* const api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  return api;
}

// Released by a member of OrtApi: Handle<OrtSession, &OrtApi::ReleaseSession>.
template <class T, auto Release>
struct Releaser {
  void operator()(T* handle) const noexcept { (ort()->*Release)(handle); }
};
template <class T, auto Release>
using Handle = std::unique_ptr<T, Releaser<T, Release>>;

using Env = Handle<OrtEnv, &OrtApi::ReleaseEnv>;
using Status = Handle<OrtStatus, &OrtApi::ReleaseStatus>;
using Session = Handle<OrtSession, &OrtApi::ReleaseSession>;
using SessionOptions = Handle<OrtSessionOptions, &OrtApi::ReleaseSessionOptions>;
using RunOptions = Handle<OrtRunOptions, &OrtApi::ReleaseRunOptions>;
using Value = Handle<OrtValue, &OrtApi::ReleaseValue>;
using TypeInfo = Handle<OrtTypeInfo, &OrtApi::ReleaseTypeInfo>;
using TensorInfo = Handle<OrtTensorTypeAndShapeInfo, &OrtApi::ReleaseTensorTypeAndShapeInfo>;
using MemoryInfo = Handle<OrtMemoryInfo, &OrtApi::ReleaseMemoryInfo>;
using ArenaConfig = Handle<OrtArenaCfg, &OrtApi::ReleaseArenaCfg>;

}  // namespace skerry_ort
