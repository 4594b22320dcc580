#include "skerry/registry/manifest.hpp"

#include <gtest/gtest.h>

#include "skerry/common/json.hpp"

#include "registry_fixtures.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::make_variant;

Manifest full_manifest() {
  auto q4 = make_variant("q4_k_m",
                         {make_file(FileRole::kWeights, "m-q4_k_m.gguf", 700'000, 1),
                          make_file(FileRole::kTokenizer, "tokenizer.json", 900, 2)});
  q4.needs.ram_bytes = 5'000'000;
  q4.needs.disk_bytes = 800'000;
  q4.needs.isa = {"avx2", "fma"};
  q4.needs.arch = {"x86_64"};
  q4.needs.runtime_min_version = *SemanticVersion::parse("0.5.0");
  q4.quality = {{"accuracy", 0.925}, {"tokens_per_second", 118}};
  auto f16 = make_variant("f16",
                          {make_file(FileRole::kWeights, "m-f16.gguf", 2'000'000, 3),
                           make_file(FileRole::kTokenizer, "tokenizer.json", 900, 2)});
  f16.needs.accelerator = "cuda";
  auto manifest = test::make_manifest("1.2.0", 7, {q4, f16});
  manifest.description = "Reads a gateway log line: \"é\"";
  manifest.shared = {make_file(FileRole::kGolden, "golden.jsonl", 1200, 4).entry,
                     make_file(FileRole::kCard, "README.md", 1200, 5).entry};
  manifest.prefer = {"f16", "q4_k_m"};
  manifest.activation.probation_seconds = 60;
  manifest.activation.probation_requests = 10;
  manifest.activation.context_length = 512;
  manifest.activation.swap_mode = SwapMode::kUnloadFirst;
  manifest.activation.golden_min_pass = 0.95;
  manifest.activation.golden_min_tokens_per_second = 2.5;
  manifest.annotations = {{"org.opencontainers.image.source", "https://example.test/x"}};
  return manifest;
}

// The document with one value replaced (or removed: null) at a path of keys.
std::string edited(const std::function<void(Json::Object&)>& edit) {
  auto json = *Json::parse(*full_manifest().serialise());
  edit(*json.object());
  return json.dump();
}

Json::Object& at(Json::Object& object, const char* key) {
  return *object.find(key)->second.object();
}

Json::Object& element(Json::Object& object, const char* key, std::size_t i) {
  return *(*object.find(key)->second.array())[i].object();
}

void expect_refused(const std::string& json, const std::string& text) {
  const auto manifest = Manifest::parse(json);
  ASSERT_FALSE(manifest) << text;
  EXPECT_EQ(manifest.error().code(), Error::Code::kManifestInvalid);
  EXPECT_NE(manifest.error().message().find(text), std::string::npos)
      << manifest.error().message() << " lacks " << text;
}

TEST(Manifest, SurvivesItsBytes) {
  const auto manifest = full_manifest();
  const auto bytes = manifest.serialise();
  ASSERT_TRUE(bytes) << bytes.error().message();
  const auto again = Manifest::parse(*bytes);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, manifest);
  EXPECT_EQ(*again->serialise(), *bytes);
}

TEST(Manifest, IsAnOciImageManifestWithAModelPackConfig) {
  const auto json = *Json::parse(*full_manifest().serialise());
  EXPECT_EQ(*json.get_int("schemaVersion"), 2);
  EXPECT_EQ(*json.get_string("artifactType"), kManifestArtifactType);
  const Json& config = *json.find("config");
  const auto data = *from_base64(*config.get_string("data"));
  EXPECT_EQ(*config.get_string("digest"), Digest::of(data).to_string());
  EXPECT_EQ(*config.get_int("size"), static_cast<std::int64_t>(data.size()));
  // Five distinct files: the tokenizer of both variants is one layer.
  EXPECT_EQ((*json.get_array("layers"))->array()->size(), 5U);
}

TEST(Manifest, FindsFilesAndPaths) {
  const auto manifest = full_manifest();
  EXPECT_EQ(manifest.target_path(), "models/acme/log-triage/1.2.0");
  const Variant& q4 = *manifest.find_variant("q4_k_m");
  EXPECT_EQ(q4.total_size(), 700'900U);
  EXPECT_EQ(manifest.golden_for(q4)->name, "golden.jsonl");
  // Weights, tokenizer, golden set; not the card.
  EXPECT_EQ(manifest.files_for(q4).size(), 3U);
  EXPECT_EQ(manifest.all_files().size(), 5U);
  EXPECT_EQ(manifest.find_variant("q2_k"), nullptr);
  const auto name = parse_target_path("models/acme/log-triage/1.2.0");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->model, manifest.model);
  for (const char* path : {"models/acme/1.2.0",
                           "models/acme/x/y/1.2.0",
                           "model/acme/x/1.2.0",
                           "models//x/1.2.0",
                           "models/acme/x/",
                           ""}) {
    EXPECT_FALSE(parse_target_path(path)) << path;
  }
}

TEST(Manifest, SaysWhichMemberIsWrong) {
  expect_refused("", "");
  expect_refused("[]", "must be an object");
  expect_refused("{\"a\":1,\"a\":2}", "");
  expect_refused(edited([](auto& o) { o["schemaVersion"] = 3; }), "schemaVersion");
  expect_refused(edited([](auto& o) { o["artifactType"] = "x"; }), "artifactType");
  expect_refused(edited([](auto& o) { o["subject"] = Json::Object{}; }), "subject: is not a known");
  expect_refused(edited([](auto& o) { o.erase("skerry"); }), "skerry: is missing");
  expect_refused(edited([](auto& o) { at(o, "skerry")["format"] = 2; }), "skerry.format");
  expect_refused(edited([](auto& o) { at(o, "skerry")["release_counter"] = 0; }),
                 "skerry.release_counter");
  expect_refused(edited([](auto& o) { at(o, "skerry")["release_counter"] = 1.5; }),
                 "skerry.release_counter");
  expect_refused(edited([](auto& o) { at(o, "skerry")["model"] = "acme/../x"; }), "skerry.model");
  expect_refused(edited([](auto& o) { at(o, "skerry")["version"] = "1.2"; }), "skerry.version");
  expect_refused(edited([](auto& o) { at(o, "skerry")["variants"] = Json::Array{}; }),
                 "skerry.variants");
  expect_refused(
      edited([](auto& o) { element(at(o, "skerry"), "variants", 1)["name"] = "q4_k_m"; }),
      "skerry.variants[1].name: is used twice");
  expect_refused(
      edited([](auto& o) { at(element(at(o, "skerry"), "variants", 0), "needs")["ram"] = -1; }),
      "skerry.variants[0].needs.ram");
  expect_refused(
      edited([](auto& o) { at(element(at(o, "skerry"), "variants", 0), "needs")["gpu"] = 1; }),
      "skerry.variants[0].needs.gpu: is not a known");
  expect_refused(edited([](auto& o) { at(o, "skerry")["prefer"] = Json::Array{Json{"q2_k"}}; }),
                 "skerry.prefer");
  expect_refused(edited([](auto& o) { at(at(o, "skerry"), "activation")["swap_mode"] = "fast"; }),
                 "skerry.activation.swap_mode");
  expect_refused(edited([](auto& o) { at(o, "config")["size"] = 1; }), "config.data");
}

TEST(Manifest, RefusesFilesThatEscapeOrDisagree) {
  const auto file_edit = [](const char* key, Json value) {
    return edited([&](auto& o) {
      element(element(at(o, "skerry"), "variants", 0), "files", 0)[key] = value;
    });
  };
  expect_refused(file_edit("name", "../../etc/passwd"), "files[0].name");
  expect_refused(file_edit("name", ".hidden"), "files[0].name");
  expect_refused(file_edit("name", "tokenizer.json"), "files[1].name: is used twice");
  expect_refused(file_edit("role", "binary"), "files[0].role");
  expect_refused(file_edit("role", "card"), "must hold a file of role weights");
  expect_refused(file_edit("digest", "sha256:" + std::string(64, '0')), "is not among the layers");
  expect_refused(file_edit("digest", "md5:abc"), "files[0].digest");
  expect_refused(edited([](auto& o) { element(o, "layers", 0)["size"] = 0; }), "layers[0].size");
  expect_refused(edited([](auto& o) {
                   at(element(o, "layers", 0), "annotations")["dev.skerry.chunk-size"] = "1000";
                 }),
                 "layers[0].annotations.dev.skerry.chunk-size");
  expect_refused(edited([](auto& o) {
                   auto& layers = *o["layers"].array();
                   layers.push_back(layers[0]);
                 }),
                 "is listed twice");
  // A file of one chunk has an index that follows from its digest.
  expect_refused(edited([](auto& o) {
                   at(element(o, "layers", 1), "annotations")["dev.skerry.chunks"] =
                       "sha256:" + std::string(64, 'a');
                 }),
                 "is not the index of a file of one chunk");
}

TEST(Manifest, RefusesALayerThatNoVariantUses) {
  expect_refused(edited([](auto& o) { at(o, "skerry").erase("shared"); }), "is used by no variant");
}

TEST(Manifest, DoesNotWriteWhatItWouldNotRead) {
  auto manifest = full_manifest();
  manifest.variants[0].quality["accuracy"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(manifest.serialise());
  manifest = full_manifest();
  manifest.description = "\xff";
  EXPECT_FALSE(manifest.serialise());
  manifest = full_manifest();
  manifest.variants[1].files[1].size += 1;
  EXPECT_EQ(manifest.serialise().error().code(), Error::Code::kManifestInvalid);
  manifest = full_manifest();
  manifest.variants.resize(ManifestLimits::kVariants + 1, manifest.variants[0]);
  EXPECT_FALSE(manifest.serialise());
}

TEST(Manifest, HoldsItsLimits) {
  EXPECT_FALSE(Manifest::parse(std::string(ManifestLimits::kBytes + 1, ' ')));
  std::string deep(5000, '[');
  EXPECT_FALSE(Manifest::parse(deep));
  expect_refused(edited([](auto& o) { at(o, "skerry")["description"] = std::string(1025, 'x'); }),
                 "skerry.description");
}

TEST(Manifest, EveryPrefixOfAManifestIsRefused) {
  const auto bytes = *full_manifest().serialise();
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    EXPECT_FALSE(Manifest::parse(bytes.substr(0, length)));
  }
}

}  // namespace
}  // namespace skerry::registry
