#include "quantize_tool.hpp"

#include <cerrno>
#include <charconv>
#include <system_error>
#include <unistd.h>

#include "skerry/runtime/onnx_quantize.hpp"

#include "mapped_file.hpp"
#include "pulse.hpp"

namespace skerry_onnx {

namespace {

std::uint32_t to_status(skerry::Error::Code code) {
  switch (code) {
    case skerry::Error::Code::kInvalidArgument:
      return SKERRY_E_INVALID;
    case skerry::Error::Code::kModelLoad:
      return SKERRY_E_MODEL;
    case skerry::Error::Code::kCancelled:
      return SKERRY_E_CANCELLED;
    default:
      return SKERRY_E_ENGINE;
  }
}

const skerry_file& only_file(const skerry_quantize_request& request) {
  if (request.source->file_count != 1) {
    throw Failure{SKERRY_E_UNSUPPORTED,
                  "a model to quantize is one file, " + std::to_string(request.source->file_count) +
                      " were given: put external data into the model first"};
  }
  return request.source->files[0];
}

std::uint32_t batch_option(const skerry_quantize_request& request) {
  std::uint32_t batch = skerry::runtime::OnnxQuantizeOptions{}.batch;
  for (std::size_t i = 0; i < request.option_count; ++i) {
    const std::string_view key = view(request.options[i].key);
    const std::string_view value = view(request.options[i].value);
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), batch);
    if (key != "batch" || code != std::errc{} || end != value.data() + value.size() || batch == 0 ||
        batch > 4096) {
      throw Failure{SKERRY_E_INVALID,
                    "option '" + std::string{key} + "' = '" + std::string{value} +
                        "'; int8-qdq knows batch, from 1 to 4096"};
    }
  }
  return batch;
}

void write_all(int fd, std::string_view bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t wrote =
        pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (wrote < 0 && errno == EINTR) {
      continue;
    }
    if (wrote <= 0) {
      throw Failure{SKERRY_E_IO,
                    std::string{"the quantized model cannot be written: "} +
                        std::generic_category().message(errno)};
    }
    done += static_cast<std::size_t>(wrote);
  }
}

}  // namespace

std::uint32_t quantize(skerry_runtime* runtime,
                       const skerry_quantize_request* request,
                       skerry_error* error) {
  return guarded(error, [&] {
    if (view(request->type) != "int8-qdq") {
      throw Failure{SKERRY_E_INVALID,
                    "the onnx plugin quantizes to int8-qdq, not to '" +
                        std::string{view(request->type)} + "'"};
    }
    if (request->data == nullptr) {
      throw Failure{SKERRY_E_INVALID, "int8-qdq needs calibration data: float32 windows"};
    }
    skerry::runtime::OnnxQuantizeOptions options;
    options.batch = batch_option(*request);
    const Pulse::Work work{*runtime->pulse, nullptr, 0, nullptr};
    options.progress = [&](float fraction) {
      return !work.cancelled() && (request->progress == nullptr ||
                                   request->progress(request->progress_ctx, fraction) == 0);
    };
    const MappedFile model{only_file(*request)};
    const MappedFile data{*request->data};
    const auto quantized = skerry::runtime::quantize_onnx(model.bytes(), data.bytes(), options);
    if (!quantized) {
      throw Failure{to_status(quantized.error().code()), quantized.error().message()};
    }
    write_all(request->output_fd, *quantized);
  });
}

}  // namespace skerry_onnx
