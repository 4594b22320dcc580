// What the host's C++ side never shows a plugin, or hides from the cases: sizes of an older host,
// another major version, what is written into the error buffer.

#include <cstddef>
#include <cstring>
#include <dlfcn.h>
#include <string_view>

#include "skerry/runtime/plugin.h"

#include "plugin_contract.hpp"

namespace skerry::runtime::test {

namespace {

// Written where a plugin must not write, and read where it must not read.
constexpr unsigned char kUntouched = 0xa5;
constexpr std::uint32_t kOk = SKERRY_OK;

skerry_get_plugin_fn find_entry(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  return handle == nullptr
             ? nullptr
             : reinterpret_cast<skerry_get_plugin_fn>(dlsym(handle, SKERRY_GET_PLUGIN_SYMBOL));
}

skerry_str str(std::string_view text) {
  return {text.data(), text.size()};
}

skerry_host quiet_host() {
  skerry_host host{};
  host.size = sizeof host;
  host.abi_major = SKERRY_ABI_MAJOR;
  host.abi_minor = SKERRY_ABI_MINOR;
  host.log = [](void*, std::uint32_t, skerry_str) {};
  host.now_ns = [](void*) -> std::uint64_t { return 1; };
  host.heartbeat = [](void*) {};
  host.should_stop = [](void*) -> int { return 0; };
  return host;
}

// A message buffer without an end, so that a plugin that writes none is found out.
skerry_error unwritten_error() {
  skerry_error error{};
  error.size = sizeof error;
  std::memset(error.message, 'x', sizeof error.message);
  return error;
}

std::string_view text_of(const skerry_error& error) {
  return {error.message, strnlen(error.message, sizeof error.message)};
}

void expect_message(const skerry_error& error) {
  const std::size_t length = text_of(error).size();
  ASSERT_LT(length, sizeof error.message) << "the message has no NUL at its end";
  EXPECT_GT(length, 0U) << "the message is empty";
}

template <class Table>
bool untouched_from(const Table& table, std::size_t from) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&table);
  for (std::size_t i = from; i < sizeof table; ++i) {
    if (bytes[i] != kUntouched) {
      return false;
    }
  }
  return true;
}

template <class Table>
void spoil_from(Table& table, std::size_t from) {
  std::memset(reinterpret_cast<unsigned char*>(&table) + from, kUntouched, sizeof table - from);
}

// The plugin's table in use, without the host between.
struct Raw {
  const skerry_plugin* table = nullptr;
  skerry_host host = quiet_host();
  skerry_runtime* runtime = nullptr;
  skerry_model* model = nullptr;

  Raw() = default;
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  ~Raw() {
    if (model != nullptr) {
      table->unload(model);
    }
    if (runtime != nullptr) {
      table->fini(runtime);
    }
  }

  void start(const std::string& library) {
    const skerry_get_plugin_fn get = find_entry(library);
    ASSERT_NE(get, nullptr);
    table = get(SKERRY_ABI_MAJOR, SKERRY_ABI_MINOR);
    ASSERT_NE(table, nullptr);
    skerry_error error = unwritten_error();
    ASSERT_EQ(table->init(&host, nullptr, 0, &runtime, &error), kOk) << text_of(error);
  }
};

struct RawJob {
  skerry_file file{};
  skerry_model_source source{};
  skerry_load_options options{};

  RawJob(int fd, std::uint64_t length) {
    file.size = sizeof file;
    file.name = str("model");
    file.role = str("model");
    file.fd = fd;
    file.length = length;
    source.size = sizeof source;
    source.files = fd >= 0 ? &file : nullptr;
    source.file_count = fd >= 0 ? 1 : 0;
    options.size = sizeof options;
    options.accelerator = str("cpu");
    options.context_length = 128;
    options.max_sequences = 1;
    options.max_rows = 64;
    options.threads = 1;
  }
  RawJob(const RawJob&) = delete;
  RawJob& operator=(const RawJob&) = delete;
};

}  // namespace

TEST_P(PluginContract, RefusesAnotherMajorVersion) {
  const skerry_get_plugin_fn get = find_entry(GetParam().library);
  ASSERT_NE(get, nullptr);
  EXPECT_EQ(get(SKERRY_ABI_MAJOR + 1, 0), nullptr);
  const skerry_plugin* table = get(SKERRY_ABI_MAJOR, SKERRY_ABI_MINOR);
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->abi_major, SKERRY_ABI_MAJOR);
  EXPECT_LE(table->abi_minor, SKERRY_ABI_MINOR);
}

TEST_P(PluginContract, KeepsToTheSizesOfAnOlderHost) {
  plugin_.reset();
  Raw raw;
  ASSERT_NO_FATAL_FAILURE(raw.start(GetParam().library));
  // The structures of the first host of 1.0, and behind them what is not theirs.
  constexpr std::size_t kFirstOptions = offsetof(skerry_load_options, spare_sequences);
  RawJob job{fd_.get(), length_};
  job.options.size = kFirstOptions;
  spoil_from(job.options, kFirstOptions);
  skerry_error error = unwritten_error();
  ASSERT_EQ(raw.table->load(raw.runtime, &job.source, &job.options, &raw.model, &error), kOk)
      << text_of(error);
  ASSERT_NE(raw.model, nullptr);
  constexpr std::size_t kFirstInfo = offsetof(skerry_model_info, spare_sequences);
  skerry_model_info info{};
  info.size = kFirstInfo;
  spoil_from(info, kFirstInfo);
  ASSERT_EQ(raw.table->info(raw.model, &info, &error), kOk) << text_of(error);
  EXPECT_EQ(info.size, kFirstInfo) << "`size` is the host's";
  EXPECT_TRUE(untouched_from(info, kFirstInfo)) << "`info` wrote behind the structure's `size`";
  EXPECT_GT(info.architecture.size, 0U);
}

TEST_P(PluginContract, RefusalsFillTheErrorBuffer) {
  plugin_.reset();
  Raw raw;
  ASSERT_NO_FATAL_FAILURE(raw.start(GetParam().library));
  RawJob job{fd_.get(), length_};
  // Longer than any buffer: cut, not overrun.
  const std::string name = "no_such_option_" + std::string(4096, 'o');
  const skerry_option unknown{.key = str(name), .value = str("1")};
  job.options.options = &unknown;
  job.options.option_count = 1;
  skerry_error error = unwritten_error();
  EXPECT_NE(raw.table->load(raw.runtime, &job.source, &job.options, &raw.model, &error), kOk);
  expect_message(error);
  EXPECT_EQ(error.size, sizeof error);
}

}  // namespace skerry::runtime::test
