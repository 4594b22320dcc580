#pragma once

// Starts ONNX Runtime once before the tests of a program, through the plugin. Its process-wide
// start (once per process, whatever is loaded later) leaves 14 bytes that nothing refers to; here
// they are kept from LeakSanitizer, so that the tests can ask for no leak at all: a handle that
// *we* do not release is still found. Include it in one file of the program;
// SKERRY_TEST_ONNX_PLUGIN names the plugin.

#include <dlfcn.h>

#include <gtest/gtest.h>

#include "skerry/runtime/plugin.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace skerry::test {

class OnnxEngineStart : public ::testing::Environment {
 public:
  void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
    const __lsan::ScopedDisabler once;
#endif
    void* library = dlopen(SKERRY_TEST_ONNX_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    const auto get =
        reinterpret_cast<skerry_get_plugin_fn>(dlsym(library, SKERRY_GET_PLUGIN_SYMBOL));
    ASSERT_NE(get, nullptr);
    const skerry_plugin* plugin = get(SKERRY_ABI_MAJOR, SKERRY_ABI_MINOR);
    ASSERT_NE(plugin, nullptr);
    skerry_host host{};
    host.size = sizeof host;
    host.abi_major = SKERRY_ABI_MAJOR;
    skerry_runtime* runtime = nullptr;
    skerry_error error{};
    error.size = sizeof error;
    ASSERT_EQ(plugin->init(&host, nullptr, 0, &runtime, &error), SKERRY_OK) << error.message;
    plugin->fini(runtime);
  }
};

inline const ::testing::Environment* const kOnnxEngineStart =
    ::testing::AddGlobalTestEnvironment(new OnnxEngineStart);

}  // namespace skerry::test
