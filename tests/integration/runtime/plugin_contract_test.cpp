#include "plugin_contract.hpp"

#include "onnx_engine_start.hpp"

namespace skerry::runtime::test {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Null,
    PluginContract,
    ::testing::Values(PluginUnderTest{
        .name = "null",
        .library = SKERRY_TEST_PLUGIN_DIR "/skerry-null.so",
        .model = "",
        .inputs = {Tensor{.name = "x", .type = DataType::kUint8, .shape = {4}, .data = "abcd"}},
        .quantize_type = "copy",
        .options = {{"drafts", "1"}}}));

INSTANTIATE_TEST_SUITE_P(LlamaCpp,
                         PluginContract,
                         ::testing::Values(PluginUnderTest{
                             .name = "llamacpp",
                             .library = SKERRY_TEST_PLUGIN_DIR "/skerry-llamacpp.so",
                             .model = SKERRY_TEST_MODELS "/log-triage/log-triage-f16.gguf",
                             .inputs = {},
                             .quantize_type = "q4_k_m"}));

INSTANTIATE_TEST_SUITE_P(NullRanker,
                         PluginContract,
                         ::testing::Values(PluginUnderTest{
                             .name = "null",
                             .library = SKERRY_TEST_PLUGIN_DIR "/skerry-null.so",
                             .model = "",
                             .inputs = {},
                             .quantize_type = "copy",
                             .options = {{"ranks", "1"}}}));

#ifdef SKERRY_TEST_RANKER
INSTANTIATE_TEST_SUITE_P(LlamaRanker,
                         PluginContract,
                         ::testing::Values(PluginUnderTest{
                             .name = "llamacpp",
                             .library = SKERRY_TEST_PLUGIN_DIR "/skerry-llamacpp.so",
                             .model = SKERRY_TEST_RANKER,
                             .inputs = {},
                             .quantize_type = "q8_0"}));
#endif

INSTANTIATE_TEST_SUITE_P(Onnx,
                         PluginContract,
                         ::testing::Values(PluginUnderTest{
                             .name = "onnx",
                             .library = SKERRY_TEST_PLUGIN_DIR "/skerry-onnx.so",
                             .model = SKERRY_TEST_MODELS "/vibration/vibration-f32.onnx",
                             .inputs = {Tensor{.name = "window",
                                               .type = DataType::kFp32,
                                               .shape = {1, 1, 1024},
                                               .data = std::string(4096, '\0')}},
                             .quantize_type = "int8-qdq"}));

}  // namespace
}  // namespace skerry::runtime::test
