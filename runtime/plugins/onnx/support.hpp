#pragma once

// What every file of the ONNX plugin needs: the failure type, handles of ONNX Runtime that free
// themselves, and the two structures behind the ABI's opaque pointers.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skerry/runtime/plugin.h"

#include "ort_handles.hpp"

namespace skerry_onnx {

// Thrown inside the plugin only; `guarded` turns it into a status at the ABI.
class Failure : public std::runtime_error {
 public:
  Failure(std::uint32_t status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  [[nodiscard]] std::uint32_t status() const noexcept { return status_; }

 private:
  std::uint32_t status_;
};

inline std::string_view view(const skerry_str& text) {
  return text.data == nullptr ? std::string_view{} : std::string_view{text.data, text.size};
}
inline skerry_str str(std::string_view text) {
  return {text.data(), text.size()};
}

std::uint32_t fail(skerry_error* error, std::uint32_t status, std::string_view message);

// Runs `work` and turns every exception into a status with a message.
template <class Work>
std::uint32_t guarded(skerry_error* error, Work&& work) noexcept {
  try {
    std::forward<Work>(work)();
    return SKERRY_OK;
  } catch (const Failure& failure) {
    return fail(error, failure.status(), failure.what());
  } catch (const std::bad_alloc&) {
    return fail(error, SKERRY_E_MEMORY, "out of memory");
  } catch (const std::exception& other) {
    return fail(error, SKERRY_E_ENGINE, other.what());
  }
}

// Throws a Failure with ONNX Runtime's own message: SKERRY_E_MEMORY if it is about memory, else
// `status`.
void check(OrtStatus* status, std::uint32_t code, std::string_view what);

using namespace skerry_ort;  // NOLINT(google-build-using-namespace): handles, ort()

// One element type of both sides.
struct ElementType {
  std::uint32_t datatype;  // SKERRY_TYPE_…
  ONNXTensorElementDataType onnx;
  std::uint64_t bytes;  // 0: SKERRY_TYPE_BYTES
  std::string_view name;
};
const ElementType* find_datatype(std::uint32_t datatype) noexcept;
const ElementType* find_onnx_type(ONNXTensorElementDataType type) noexcept;
std::string datatype_name(std::uint32_t datatype);

// An input or output of a loaded model. `shape` has -1 for what the caller chooses; ONNX Runtime
// tells no difference between a scalar and an unknown rank, so an empty shape accepts any.
struct TensorSpec {
  std::string name;
  const ElementType* type = nullptr;
  std::vector<std::int64_t> shape;
};

class Pulse;

}  // namespace skerry_onnx

struct skerry_runtime {
  const skerry_host* host = nullptr;
  std::string engine_version;
  skerry_onnx::Env env;
  std::shared_ptr<skerry_onnx::Pulse> pulse;
};

struct skerry_model {
  std::shared_ptr<skerry_onnx::Pulse> pulse;
  std::uint8_t digest[32] = {};
  std::uint32_t max_concurrency = 1;
  skerry_onnx::Session session;
  skerry_onnx::MemoryInfo cpu;
  std::vector<skerry_onnx::TensorSpec> inputs;
  std::vector<skerry_onnx::TensorSpec> outputs;
  std::vector<skerry_tensor_info> input_infos;
  std::vector<skerry_tensor_info> output_infos;
  std::vector<skerry_memory_item> memory;
};

namespace skerry_onnx {

// session.cpp
std::unique_ptr<skerry_model> load_model(skerry_runtime& runtime,
                                         const skerry_model_source& source,
                                         const skerry_load_options& options);
// Upper estimate in bytes, by kind.
std::vector<skerry_memory_item> estimate_memory(const skerry_model_source& source);
// Makes ONNX Runtime do its lazy start (CPU detection, first session) while files can be opened.
void warm_up(OrtEnv* env);
// "basic", "all" … as the option `optimization` names them.
SessionOptions make_session_options(std::uint32_t threads, GraphOptimizationLevel level);

// infer.cpp
const skerry_infer* infer_table();

}  // namespace skerry_onnx
