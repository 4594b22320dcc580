#include "skerry/cli/model_source.hpp"

#include <gmock/gmock.h>

#include "skerry/cli/model_target.hpp"
#include "skerry/cli/packer.hpp"
#include "skerry/cli/pinned_prompts.hpp"
#include "skerry/registry/pinned_prompts.hpp"

#include "cli_fixture.hpp"
#include "gguf_bytes.hpp"

namespace skerry::cli::test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kModel = R"(model = "acme/tiny"
version = "1.2.0"
release_counter = 7
format = "gguf"
runtime = "llamacpp"
prefer = ["f16", "q8_0"]

[files]
golden = "golden.jsonl"

[activation]
probation = "5s"

[[variant]]
name = "f16"
file = "tiny.gguf"

[[variant]]
name = "q8_0"
quantize = "q8_0"
ram = "3MiB"
)";

class ModelSourceTest : public CommandTest {
 protected:
  // The error of a model.toml that is kModel with one change.
  Error refusal(const std::string& from, const std::string& to) {
    std::string text = kModel;
    text.replace(text.find(from), from.size(), to);
    write("model.toml", text);
    const auto source = load_model_source(fs_, path("model.toml"));
    EXPECT_FALSE(source) << text;
    return source ? Error{Error::Code::kInternal, ""} : source.error();
  }
};

TEST_F(ModelSourceTest, ReadsAllItSays) {
  write("model.toml", kModel);
  const auto source = load_model_source(fs_, dir_.path());
  ASSERT_TRUE(source) << source.error().to_string();
  EXPECT_EQ(source->model.to_string(), "acme/tiny");
  EXPECT_EQ(source->version.to_string(), "1.2.0");
  EXPECT_EQ(source->release_counter, 7U);
  EXPECT_EQ(source->activation.probation_seconds, 5U);
  ASSERT_EQ(source->variants.size(), 2U);
  EXPECT_EQ(source->base().name, "f16");
  EXPECT_EQ(source->variants[1].ram_bytes, 3U << 20U);
  EXPECT_EQ(source->weights_of(source->variants[1], "/out"), "/out/tiny-q8_0.gguf");
}

TEST_F(ModelSourceTest, RefusesWithFileAndLine) {
  EXPECT_THAT(refusal("acme/tiny", "tiny").message(), HasSubstr("model.toml:1"));
  EXPECT_THAT(refusal("1.2.0", "one").message(), HasSubstr("model.toml:2"));
  EXPECT_THAT(refusal("golden =", "goldn =").message(), HasSubstr("golden"));
  EXPECT_THAT(refusal("\"tiny.gguf\"", "\"../tiny.gguf\"").message(), HasSubstr("not a path"));
  EXPECT_THAT(refusal("file = \"tiny.gguf\"", "quantize = \"f16\"").message(),
              HasSubstr("needs a file"));
  EXPECT_THAT(refusal("quantize = \"q8_0\"", "").message(), HasSubstr("either a file"));
}

TEST_F(ModelSourceTest, PackMakesACanonicalManifestAndEveryBlob) {
  write("model.toml", kModel);
  write("golden.jsonl", "{\"prompt\":\"a\",\"expect\":\"b\",\"match\":\"exact\"}\n");
  const std::string weights = skerry::test::GgufBytes::small_model().bytes();
  write("tiny.gguf", weights);
  write("tiny-q8_0.gguf", weights);
  write("quality.json", R"({"q8_0": {"accuracy": 0.5}})");
  ASSERT_EQ(run({"model", "pack", path(""), "--out", path("packed")}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("models/acme/tiny/1.2.0"));
  const auto target = load_model_target(fs_, path("packed"));
  ASSERT_TRUE(target) << target.error().to_string();
  EXPECT_EQ(target->file.release_counter(), 7);
  EXPECT_TRUE(target->file.check(target->bytes));
  EXPECT_EQ(target->manifest.find_variant("q8_0")->quality.at("accuracy"), 0.5);
  EXPECT_EQ(target->manifest.find_variant("q8_0")->needs.ram_bytes, 3U << 20U);
  EXPECT_GT(target->manifest.find_variant("f16")->needs.ram_bytes, 0U);
  for (const auto& file : target->manifest.all_files()) {
    for (const Digest& digest : {file.digest, file.chunks}) {
      const std::string blob = read("packed/blobs/sha256/" + digest.hex());
      EXPECT_EQ(Digest::of(blob), digest);
    }
  }
}

TEST_F(ModelSourceTest, PromptsArePinnedWithAPackedModel) {
  write("model.toml", kModel);
  write("golden.jsonl", "{\"prompt\":\"a\",\"expect\":\"b\",\"match\":\"exact\"}\n");
  const std::string weights = skerry::test::GgufBytes::small_model().bytes();
  write("tiny.gguf", weights);
  write("tiny-q8_0.gguf", weights);
  write("support.txt", "You are kind.\n");
  ASSERT_EQ(run({"model",
                 "pack",
                 path(""),
                 "--out",
                 path("packed"),
                 "--pin-prompt",
                 path("support.txt")}),
            kExitDone)
      << err();
  const auto target = load_model_target(fs_, path("packed"));
  ASSERT_TRUE(target) << target.error().to_string();
  const auto* file = registry::pinned_prompts_of(target->manifest);
  ASSERT_NE(file, nullptr);
  const std::string text = read("packed/blobs/sha256/" + file->digest.hex());
  EXPECT_EQ(Digest::of(text), file->digest);
  EXPECT_EQ(Digest::of(read("packed/blobs/sha256/" + file->chunks.hex())), file->chunks);
  const auto prompts = registry::parse_pinned_prompts(text);
  ASSERT_TRUE(prompts) << prompts.error().message();
  EXPECT_EQ(*prompts,
            (std::vector<registry::PinnedPrompt>{{"support", {{"system", "You are kind."}}}}));
  // Others take their place.
  write("triage.json", R"([{"role":"system","content":"Sort."}])");
  ASSERT_TRUE(pin_prompts(fs_, path("packed"), {path("triage.json")}));
  const auto again = load_model_target(fs_, path("packed"));
  ASSERT_TRUE(again);
  EXPECT_NE(registry::pinned_prompts_of(again->manifest)->digest, file->digest);
  EXPECT_EQ(again->manifest.shared.size(), target->manifest.shared.size());
  write("bad.json", R"([{"role":"user","content":"Sort."}])");
  EXPECT_THAT(pin_prompts(fs_, path("packed"), {path("bad.json")}).error().message(),
              HasSubstr("must not end"));
}

TEST_F(ModelSourceTest, PackSaysHowToMakeAMissingVariant) {
  write("model.toml", kModel);
  write("tiny.gguf", skerry::test::GgufBytes::small_model().bytes());
  EXPECT_EQ(run({"model", "pack", path(""), "--out", path("packed")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("skerry model quantize"));
}

TEST_F(ModelSourceTest, PackRefusesWeightsThatNoDeviceWouldAdmit) {
  write("model.toml", kModel);
  write("tiny.gguf", "GGUF but not really");
  EXPECT_EQ(run({"model", "pack", path(""), "--out", path("packed")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("model_format"));
  EXPECT_FALSE(fs_.exists(path("packed/manifest.json")));
}

TEST_F(ModelSourceTest, PackTakesTheOwnFormatOfAPlugin) {
  const std::string own = R"(model = "acme/own"
version = "1.0.0"
release_counter = 1
format = "dense"
runtime = "dense"
[[variant]]
name = "f32"
file = "own.dense"
ram = "5MiB"
)";
  const auto pack = [this](const std::string& text) {
    write("model.toml", text);
    return run({"model", "pack", path(""), "--out", path("packed")});
  };
  write("own.dense", "what only its plugin reads");
  EXPECT_EQ(pack(own.substr(0, own.find("ram ="))), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("say ram"));
  std::string other = own;
  other.replace(other.find("runtime = \"dense\""), 17, "runtime = \"sparse\"");
  EXPECT_EQ(pack(other), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("model_format"));
  ASSERT_EQ(pack(own), kExitDone) << err();
  const auto target = load_model_target(fs_, path("packed"));
  ASSERT_TRUE(target) << target.error().to_string();
  EXPECT_EQ(target->manifest.find_variant("f32")->format, "dense");
  EXPECT_EQ(target->manifest.find_variant("f32")->needs.ram_bytes, 5U << 20U);
}

TEST_F(ModelSourceTest, CheckAnswersByExitCode) {
  write("good.gguf", skerry::test::GgufBytes::small_model().bytes());
  write("bad.gguf", "GGUFtruncated");
  EXPECT_EQ(run({"model", "check", path("good.gguf")}), kExitDone) << out() << err();
  EXPECT_THAT(out(), HasSubstr("admitted"));
  EXPECT_EQ(run({"model", "check", path("bad.gguf")}), kExitNo);
  EXPECT_EQ(run({"model", "check", path("absent.gguf")}), kExitFailed);
}

}  // namespace
}  // namespace skerry::cli::test
