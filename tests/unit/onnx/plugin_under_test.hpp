#pragma once

// The ONNX plugin through its C ABI, without any host code between: what the tests of this folder
// drive.

#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "skerry/runtime/plugin.h"

namespace skerry::test {

inline skerry_str abi(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string text(const skerry_str& value) {
  return {value.data, value.size};
}

// A file in memory behind a descriptor.
class MemoryFd {
 public:
  explicit MemoryFd(std::string_view bytes) : fd_(memfd_create("test", MFD_CLOEXEC)) {
    if (write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      throw std::runtime_error("memfd");
    }
  }
  ~MemoryFd() { close(fd_); }
  MemoryFd(const MemoryFd&) = delete;
  MemoryFd& operator=(const MemoryFd&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// Outcome of a call: status and message.
struct Outcome {
  std::uint32_t status = SKERRY_OK;
  std::string message;
};

struct TestTensor {
  std::string name;
  std::uint32_t datatype = SKERRY_TYPE_FP32;
  std::vector<std::int64_t> shape;
  std::string data;
};

class PluginUnderTest {
 public:
  PluginUnderTest() {
    void* library = dlopen(SKERRY_TEST_ONNX_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      throw std::runtime_error(dlerror());
    }
    const auto get =
        reinterpret_cast<skerry_get_plugin_fn>(dlsym(library, SKERRY_GET_PLUGIN_SYMBOL));
    table = get(SKERRY_ABI_MAJOR, SKERRY_ABI_MINOR);
    foreign = get(SKERRY_ABI_MAJOR + 1, 0);
    host_.size = sizeof host_;
    host_.abi_major = SKERRY_ABI_MAJOR;
    host_.ctx = this;
    host_.log = [](void* ctx, std::uint32_t, skerry_str message) {
      static_cast<PluginUnderTest*>(ctx)->last_log = text(message);
    };
    host_.now_ns = [](void*) { return std::uint64_t{0}; };
    host_.heartbeat = [](void* ctx) { ++static_cast<PluginUnderTest*>(ctx)->heartbeats; };
    host_.should_stop = [](void* ctx) -> int {
      return static_cast<PluginUnderTest*>(ctx)->stop ? 1 : 0;
    };
    skerry_error error{};
    error.size = sizeof error;
    if (table->init(&host_, nullptr, 0, &runtime, &error) != SKERRY_OK) {
      throw std::runtime_error(error.message);
    }
  }
  ~PluginUnderTest() {
    if (model != nullptr) {
      table->unload(model);
    }
    table->fini(runtime);
  }
  PluginUnderTest(const PluginUnderTest&) = delete;
  PluginUnderTest& operator=(const PluginUnderTest&) = delete;

  struct LoadFile {
    std::string name;
    std::string role;
    std::string bytes;
    std::uint64_t offset = 0;
  };
  struct LoadOptions {
    std::string accelerator = "cpu";
    std::uint32_t threads = 1;
    std::uint64_t memory_limit = 0;
    std::vector<std::pair<std::string, std::string>> options;
  };

  Outcome load(const std::vector<LoadFile>& files, const LoadOptions& load_options) {
    std::vector<std::unique_ptr<MemoryFd>> fds;
    std::vector<skerry_file> list;
    for (const auto& file : files) {
      fds.push_back(std::make_unique<MemoryFd>(std::string(file.offset, '#') + file.bytes));
      skerry_file out{};
      out.size = sizeof out;
      out.name = abi(file.name);
      out.role = abi(file.role);
      out.fd = fds.back()->get();
      out.offset = file.offset;
      out.length = file.bytes.size();
      list.push_back(out);
    }
    skerry_model_source source{};
    source.size = sizeof source;
    source.files = list.data();
    source.file_count = list.size();
    std::memset(source.digest, 7, sizeof source.digest);
    std::vector<skerry_option> extra;
    for (const auto& [key, value] : load_options.options) {
      extra.push_back({abi(key), abi(value)});
    }
    skerry_load_options options{};
    options.size = sizeof options;
    options.accelerator = abi(load_options.accelerator);
    options.max_sequences = 2;
    options.max_rows = 1;
    options.threads = load_options.threads;
    options.memory_limit = load_options.memory_limit;
    options.options = extra.data();
    options.option_count = extra.size();
    skerry_error error{};
    error.size = sizeof error;
    if (model != nullptr) {
      table->unload(model);
      model = nullptr;
    }
    const auto status = table->load(runtime, &source, &options, &model, &error);
    return {status, error.message};
  }
  Outcome load(std::string_view bytes) {
    return load({{"model.onnx", "model", std::string{bytes}}}, LoadOptions{});
  }

  Outcome run(const std::vector<TestTensor>& inputs,
              const std::vector<std::string>& wanted = {},
              std::uint8_t digest = 7,
              std::uint64_t id = 1) {
    outputs.clear();
    std::vector<skerry_tensor> tensors;
    for (const auto& input : inputs) {
      skerry_tensor out{};
      out.size = sizeof out;
      out.name = abi(input.name);
      out.datatype = input.datatype;
      out.rank = static_cast<std::uint32_t>(input.shape.size());
      out.shape = input.shape.data();
      out.data = input.data.data();
      out.bytes = input.data.size();
      tensors.push_back(out);
    }
    std::vector<skerry_str> names;
    for (const auto& name : wanted) {
      names.push_back(abi(name));
    }
    skerry_infer_request request{};
    request.size = sizeof request;
    request.id = id;
    std::memset(request.model_digest, digest, sizeof request.model_digest);
    request.inputs = tensors.data();
    request.input_count = tensors.size();
    request.outputs = names.data();
    request.output_count = names.size();
    request.emit_ctx = this;
    request.emit = [](void* ctx, const skerry_tensor* emitted, std::size_t count) {
      auto& self = *static_cast<PluginUnderTest*>(ctx);
      for (std::size_t i = 0; i < count; ++i) {
        const skerry_tensor& one = emitted[i];
        self.outputs.push_back({text(one.name),
                                one.datatype,
                                {one.shape, one.shape + one.rank},
                                {static_cast<const char*>(one.data), one.bytes}});
      }
      return self.refuse_outputs ? 1 : 0;
    };
    skerry_error error{};
    error.size = sizeof error;
    const auto status = table->infer->run(model, &request, &error);
    return {status, error.message};
  }

  const skerry_plugin* table = nullptr;
  const skerry_plugin* foreign = nullptr;
  skerry_runtime* runtime = nullptr;
  skerry_model* model = nullptr;
  std::vector<TestTensor> outputs;
  std::string last_log;
  std::atomic<int> heartbeats = 0;
  std::atomic<bool> stop = false;
  bool refuse_outputs = false;

 private:
  skerry_host host_{};
};

}  // namespace skerry::test
