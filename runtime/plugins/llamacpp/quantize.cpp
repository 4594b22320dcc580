#include <cstdio>
#include <exception>
#include <new>

#include "llama_plugin.hpp"

namespace skerry_llama {
namespace {

struct QuantizeType {
  std::string_view name;
  llama_ftype type;
};

constexpr QuantizeType kTypes[] = {
    {"f16", LLAMA_FTYPE_MOSTLY_F16},
    {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"q6_k", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"q5_k_m", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    {"q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"q3_k_m", LLAMA_FTYPE_MOSTLY_Q3_K_M},
    {"q2_k", LLAMA_FTYPE_MOSTLY_Q2_K},
};

struct Watch {
  const skerry_quantize_request* request = nullptr;
  bool stop = false;
};

// The engine reports each tensor as "[  12/ 201] name …".
void on_line(void* ctx, std::string_view line) {
  auto& watch = *static_cast<Watch*>(ctx);
  int at = 0;
  int of = 0;
  const std::string text{line.substr(0, 40)};
  if (watch.request->progress != nullptr && std::sscanf(text.c_str(), "[%d/%d]", &at, &of) == 2 &&
      of > 0) {
    watch.stop = watch.request->progress(watch.request->progress_ctx,
                                         static_cast<float>(at) / static_cast<float>(of)) != 0;
  }
}

struct WatchLog {
  explicit WatchLog(Watch& watch) { set_log_watch(on_line, &watch); }
  ~WatchLog() { set_log_watch(nullptr, nullptr); }
  WatchLog(const WatchLog&) = delete;
  WatchLog& operator=(const WatchLog&) = delete;
};

std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace

const std::vector<skerry_str>& quantize_types() {
  static const std::vector<skerry_str> kNames = [] {
    std::vector<skerry_str> names;
    for (const QuantizeType& type : kTypes) {
      names.push_back(str(type.name));
    }
    return names;
  }();
  return kNames;
}

std::uint32_t quantize(skerry_runtime*,
                       const skerry_quantize_request* request,
                       skerry_error* error) try {
  const QuantizeType* chosen = nullptr;
  std::string names;
  for (const QuantizeType& type : kTypes) {
    names += names.empty() ? "" : ", ";
    names += type.name;
    if (type.name == view(request->type)) {
      chosen = &type;
    }
  }
  if (chosen == nullptr) {
    return fail(
        error,
        SKERRY_E_INVALID,
        "llamacpp cannot quantize to \"" + std::string{view(request->type)} + "\": use " + names);
  }
  if (request->source->file_count != 1 || request->source->files[0].offset != 0) {
    return fail(error, SKERRY_E_INVALID, "quantization takes one GGUF file from its beginning");
  }
  if (request->data != nullptr || request->option_count != 0) {
    return fail(error,
                SKERRY_E_UNSUPPORTED,
                "llamacpp takes no calibration data and no options for quantization");
  }
  // The engine insists on paths; the sandbox allows exactly these two inodes.
  const std::string input = descriptor_path(request->source->files[0].fd);
  const std::string output = descriptor_path(request->output_fd);
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = chosen->type;
  params.nthread = static_cast<std::int32_t>(request->threads == 0 ? 1 : request->threads);
  Watch watch{.request = request};
  const WatchLog watching{watch};
  clear_log_errors();
  if (llama_model_quantize(input.c_str(), output.c_str(), &params) != 0) {
    const std::string errors = log_errors();
    return fail(error,
                SKERRY_E_MODEL,
                "llama.cpp cannot quantize the model: " +
                    (errors.empty() ? std::string{"it gives no reason"} : errors));
  }
  if (watch.stop) {
    return fail(error, SKERRY_E_CANCELLED, "cancelled");
  }
  return SKERRY_OK;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory while quantizing");
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

}  // namespace skerry_llama
