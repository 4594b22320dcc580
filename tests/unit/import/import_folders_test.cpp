// Every format that is imported, as its maker leaves it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/registry/import_names.hpp"
#include "skerry/registry/import_plan.hpp"

#include "import_files.hpp"
#include "split_gguf.hpp"

namespace skerry::registry {
namespace {

using test::content_of;
using test::gguf_bytes;
using test::ImportFolder;
using test::onnx_with_external;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> names(const std::vector<ImportFile>& files) {
  std::vector<std::string> out;
  for (const ImportFile& file : files) {
    out.push_back(std::string{to_string(file.role)} + ":" + file.name);
  }
  return out;
}

TEST(ImportNames, AreWhatAManifestTakes) {
  EXPECT_EQ(import_name_part("Phi-3 Mini (4k)"), "phi-3-mini-4k");
  EXPECT_EQ(import_name_part("..//.."), "model");
  EXPECT_EQ(import_name_part(std::string(100, 'x')).size(), 64U);
  EXPECT_EQ(import_file_name("a/b c.json"), "a+b_c.json");
  EXPECT_EQ(import_file_name(".hidden"), "_hidden");
  EXPECT_EQ(import_file_name(std::string(300, 'y') + ".gguf").size(), 128U);
  EXPECT_EQ(quantization_of("Phi-3-mini-4k-instruct-Q4_K_M.gguf"), "q4_k_m");
  EXPECT_EQ(quantization_of("gemma-3-IQ3_XXS.gguf"), "iq3_xxs");
  EXPECT_EQ(quantization_of("model_quantized.onnx"), "quantized");
  EXPECT_EQ(quantization_of("qwen2.gguf"), "");
}

TEST(ImportGguf, APlainFileIsOneVariant) {
  ImportFolder folder;
  folder.write("Small-Q8_0.gguf", gguf_bytes());
  folder.write("unrelated.bin", "x");
  const auto plan = folder.plan({}, "Small-Q8_0.gguf");
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->format, ImportFormat::kGguf);
  EXPECT_EQ(plan->name, "small");
  ASSERT_EQ(plan->variants.size(), 1U);
  EXPECT_EQ(plan->variants[0].name, "q8_0");
  EXPECT_EQ(plan->variants[0].runtime, "llamacpp");
  EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
  EXPECT_TRUE(plan->shared.empty());
}

TEST(ImportGguf, AFolderHoldsSeveralQuantizationsOfOneModel) {
  ImportFolder folder;
  folder.write("small-F16.gguf", gguf_bytes());
  folder.write("small-Q4_K_M.gguf", gguf_bytes());
  folder.write("README.md", "# small");
  folder.write("LICENSE", "Apache");
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->variants.size(), 2U);
  EXPECT_EQ(plan->variants[0].name, "f16");
  EXPECT_EQ(plan->variants[1].name, "q4_k_m");
  EXPECT_THAT(names(plan->shared), ElementsAre("license:LICENSE", "card:README.md"));
}

TEST(ImportGguf, PartsAreJoined) {
  ImportFolder folder;
  const auto parts = skerry::test::split_small_model();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    folder.write("small-q8_0-0000" + std::to_string(i + 1) + "-of-00003.gguf", parts[i].bytes());
  }
  for (const std::string inside : {"", "small-q8_0-00001-of-00003.gguf"}) {
    const auto plan = folder.plan({}, inside);
    ASSERT_TRUE(plan) << plan.error().to_string();
    ASSERT_EQ(plan->variants.size(), 1U);
    EXPECT_EQ(plan->variants[0].name, "q8_0");
    EXPECT_EQ(plan->variants[0].files[0].name, "small-q8_0.gguf");
    EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
    EXPECT_TRUE(plan->shared.empty());
  }
}

TEST(ImportOnnx, AFileAndAFolderWithExternalData) {
  ImportFolder folder;
  folder.write("net/model.onnx", onnx_with_external("model.onnx.data"));
  folder.write("net/model.onnx.data", std::string(24, 'w'));
  folder.write("net/model_quantized.onnx", skerry::test::onnx_small_model());
  folder.write("net/tokenizer.json", "{}");
  folder.write("net/convert.py", "import os");
  for (const std::string inside : {"net", "net/model.onnx"}) {
    const auto plan = folder.plan({}, inside);
    ASSERT_TRUE(plan) << plan.error().to_string();
    ASSERT_EQ(plan->variants.size(), inside == "net" ? 2U : 1U);
    EXPECT_EQ(plan->variants[0].name, "onnx");
    EXPECT_THAT(names(plan->variants[0].files),
                ElementsAre("weights:model.onnx", "weights:model.onnx.data"));
  }
  const auto plan = folder.plan({}, "net");
  EXPECT_EQ(plan->variants[1].name, "quantized");
  EXPECT_EQ(plan->variants[1].files.size(), 1U);
  EXPECT_THAT(names(plan->shared), ElementsAre("tokenizer:tokenizer.json"));
  EXPECT_THAT(plan->notes, ElementsAre("left out: convert.py"));
}

TEST(ImportOnnx, ASignedFolderIsTakenWhole) {
  ImportFolder folder;
  folder.write("model.onnx", skerry::test::onnx_small_model());
  folder.write("convert.py", "print()");
  folder.write("model.sig", "{}");
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_THAT(names(plan->shared), ElementsAre("config:convert.py", "signature:model.sig"));
}

TEST(ImportOllama, LayersKeepTheirParts) {
  ImportFolder folder;
  folder.ollama_manifest("registry.ollama.ai/library/tiny/latest",
                         {folder.ollama_layer("model", gguf_bytes()),
                          folder.ollama_layer("template", "{{ .Prompt }}"),
                          folder.ollama_layer("params", R"({"stop":["x"]})"),
                          folder.ollama_layer("license", "one"),
                          folder.ollama_layer("license", "two"),
                          folder.ollama_layer("tensor", "?")});
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->format, ImportFormat::kOllama);
  EXPECT_EQ(plan->name, "tiny");
  ASSERT_EQ(plan->variants.size(), 1U);
  EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
  EXPECT_EQ(plan->variants[0].files[0].expected, Digest::of(gguf_bytes()));
  // The Go template is a file like any other: no engine gets it.
  EXPECT_THAT(names(plan->shared),
              ElementsAre("config:ollama-template.txt",
                          "config:ollama-params.json",
                          "license:license.txt",
                          "license:license-2.txt"));
  EXPECT_THAT(plan->notes, ElementsAre(HasSubstr("application/vnd.ollama.image.tensor")));
}

TEST(ImportOllama, SaysWhichModelsThereAre) {
  ImportFolder folder;
  const Json layer = folder.ollama_layer("model", gguf_bytes());
  folder.ollama_manifest("registry.ollama.ai/library/tiny/latest", {layer});
  folder.ollama_manifest("registry.ollama.ai/library/tiny/1b", {layer});
  folder.ollama_manifest("hub.example/me/own/v1", {layer});
  const auto unsure = folder.plan();
  ASSERT_FALSE(unsure);
  EXPECT_THAT(unsure.error().message(),
              HasSubstr("there are hub.example/me/own:v1, tiny:1b, tiny:latest"));
  EXPECT_EQ(folder.plan({ImportFormat::kAuto, "tiny"})->name, "tiny");
  EXPECT_EQ(folder.plan({ImportFormat::kAuto, "tiny:1b"})->name, "tiny-1b");
  EXPECT_EQ(folder.plan({ImportFormat::kAuto, "hub.example/me/own:v1"})->name, "own-v1");
}

TEST(ImportOlive, TheConfigNamesTheModelByItsLastComponent) {
  ImportFolder folder;
  folder.write("model_config.json",
               R"({"type":"ONNXModel","config":{"model_path":"/builds/7/out/model/model.onnx"}})");
  folder.write("model/model.onnx", onnx_with_external("model.onnx.data"));
  folder.write("model/model.onnx.data", std::string(24, 'w'));
  folder.write("metrics.json", "{}");
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->format, ImportFormat::kOlive);
  ASSERT_EQ(plan->variants.size(), 1U);
  EXPECT_EQ(plan->variants[0].name, "olive");
  EXPECT_EQ(plan->variants[0].files.size(), 2U);
  EXPECT_THAT(names(plan->shared), ElementsAre("config:metrics.json", "config:model_config.json"));
}

TEST(ImportOlive, CandidatesAreVariantsInTheirOrder) {
  ImportFolder folder;
  for (const std::string rank : {"1", "2"}) {
    const std::string at = "CandidateModels/cpu-cpu/BestCandidateModel_" + rank;
    folder.write(at + "/model.onnx", skerry::test::onnx_small_model());
    folder.write(at + "/metrics.json", rank);
  }
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->variants.size(), 2U);
  EXPECT_EQ(plan->variants[0].name, "cpu-cpu-1");
  EXPECT_EQ(plan->variants[1].name, "cpu-cpu-2");
}

constexpr const char* kPackage = R"({"schema_version":"1.0","package_name":"Phi 4",
  "components":{"decoder":"decoder"}})";
constexpr const char* kComponent = R"({"variants":{
  "cpu":{"ep":"CPUExecutionProvider","device":"cpu","executor_info":{"ort":"ort_info.json"}},
  "cuda":{"ep":"CUDAExecutionProvider","device":"gpu"},
  "int8":{"variant_directory":"cpu-int8"}}})";

TEST(ImportOrtPackage, TakesTheVariantsThatRunHere) {
  ImportFolder folder;
  folder.write("manifest.json", kPackage);
  folder.write("decoder/component.json", kComponent);
  folder.write("decoder/cpu/net.onnx", skerry::test::onnx_small_model());
  folder.write("decoder/cpu/other.onnx", "not the one");
  folder.write("decoder/cpu/ort_info.json",
               R"({"model_file":"net.onnx","session_options":{"session.enable_profiling":"1"}})");
  folder.write("decoder/cuda/model.onnx", "compiled");
  folder.write("decoder/cpu-int8/model.onnx", skerry::test::onnx_small_model());
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->format, ImportFormat::kOrtPackage);
  EXPECT_EQ(plan->name, "phi-4");
  ASSERT_EQ(plan->variants.size(), 2U);
  EXPECT_EQ(plan->variants[0].name, "cpu");
  EXPECT_EQ(plan->variants[0].files[0].path, "decoder/cpu/net.onnx");
  EXPECT_EQ(plan->variants[1].name, "int8");
  EXPECT_THAT(plan->notes, testing::Contains(HasSubstr("CUDAExecutionProvider")));
  EXPECT_THAT(plan->notes, testing::Contains("cpu: its session options are not applied"));
}

TEST(ImportOrtPackage, SharedAssetsAreCheckedAgainstTheirName) {
  ImportFolder folder;
  const std::string data(24, 'w');
  const std::string hex = Digest::of(Digest::of(data).hex() + "  weights.bin\n").hex();
  folder.write("manifest.json",
               R"({"schema_version":"1.2","components":{"net":{"variants":{"cpu":
      {"executor_info":{"ort":{"model_file":"m.onnx","session_options":
      {"session.model_external_initializers_file_folder_path":"sha256:)" +
                   hex + R"("}}}}}}}})");
  folder.write("cpu/m.onnx", onnx_with_external("weights.bin"));
  folder.write("shared_assets/sha256-" + hex + "/weights.bin", data);
  const auto plan = folder.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_THAT(names(plan->variants[0].files), ElementsAre("weights:m.onnx", "weights:weights.bin"));
  folder.write("shared_assets/sha256-" + hex + "/weights.bin", std::string(24, 'x'));
  const auto changed = folder.plan();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Error::Code::kDigestMismatch);
}

TEST(ImportPlan, AFolderWithoutAModelIsToldSo) {
  ImportFolder folder;
  folder.write("pytorch_model.bin", "x");
  const auto plan = folder.plan();
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code(), Error::Code::kNotFound);
  EXPECT_FALSE(parse_import_format("safetensors"));
  EXPECT_EQ(folder.plan({ImportFormat::kOllama, ""}, "pytorch_model.bin").error().code(),
            Error::Code::kInvalidArgument);
}

}  // namespace
}  // namespace skerry::registry
