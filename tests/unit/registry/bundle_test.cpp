// The directive of a bundle: what it may say, whom it is for, and that the files beside it are
// exactly those it lists.

#include "skerry/registry/bundle.hpp"

#include <fstream>

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

BundleDirective sample_directive() {
  BundleDirective directive;
  directive.id = "plant-a.7";
  directive.sequence = 7;
  directive.devices = {"gw-*", "lab1"};
  directive.not_after = *parse_rfc3339("2027-01-01T00:00:00Z");
  const Digest manifest = Digest::of(std::string_view{"m"});
  directive.slots.emplace("default", BundleSlot{"models/acme/echo/1.0.0", manifest, 1});
  directive.blobs.emplace(manifest, 1);
  return directive;
}

TEST(BundleDirective, ReadsWhatItWrites) {
  const BundleDirective directive = sample_directive();
  const auto parsed = BundleDirective::parse(directive.serialise());
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(*parsed, directive);
  EXPECT_EQ(parsed->target_path(), "bundles/plant-a.7");
}

TEST(BundleDirective, IsForTheDevicesItNames) {
  const BundleDirective directive = sample_directive();
  EXPECT_TRUE(directive.is_for({"gw-17"}));
  EXPECT_TRUE(directive.is_for({"other", "lab1"}));
  EXPECT_FALSE(directive.is_for({"lab10"}));
  EXPECT_FALSE(directive.is_for({"", "gw"}));
  BundleDirective nobody = directive;
  nobody.devices.clear();
  EXPECT_FALSE(nobody.is_for({"gw-17"}));
}

TEST(BundleDirective, RefusesWhatIsNotOne) {
  const std::string good = sample_directive().serialise();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> rows{
      {with("\"format\":1", "\"format\":2"), "format"},
      {with("plant-a.7", "../plant"), "id"},
      {with("plant-a.7", ""), "id"},
      {with("\"sequence\":7", "\"sequence\":0"), "sequence"},
      {with("gw-*", "gw/*"), "devices"},
      {with("2027-01-01", "soon"), "not_after"},
      {with("models/acme/echo/1.0.0", "policy/acme"), "target"},
      {with("\"default\"", "\"no/slot\""), "slots"},
      {with("\"size\":1", "\"size\":2"), "manifest"},
      {with("\"id\"", "\"more\":1,\"id\""), "more"},
      {good + " x", ""},
      {"[]", ""},
  };
  for (const auto& [text, where] : rows) {
    const auto parsed = BundleDirective::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Error::Code::kParse) << text;
    EXPECT_NE(parsed.error().message().find(where), std::string::npos)
        << parsed.error().to_string();
  }
}

class BundleFilesTest : public ::testing::Test {
 protected:
  BundleFilesTest() {
    auto file = test::make_file(FileRole::kWeights, "m.gguf", 600'000, 3);
    const std::filesystem::path blobs = packed / "blobs/sha256";
    std::filesystem::create_directories(blobs);
    write(blobs / file.digest().hex(), as_text(file.bytes));
    write(blobs / file.index.digest().hex(), as_text(file.index.serialise()));
    manifest = test::make_manifest("1.0.0", 1, {test::make_variant("q4", {file})});
    bytes = *manifest.serialise();
  }
  static void write(const std::filesystem::path& path, std::string_view text) {
    std::ofstream{path, std::ios::binary} << text;
  }
  void make() {
    auto writer = OciLayoutWriter::create(fs, folder());
    ASSERT_TRUE(writer);
    auto listed = add_model(*writer, manifest, bytes, packed / "blobs", directive.blobs);
    ASSERT_TRUE(listed) << listed.error().to_string();
    writer->list(*listed, "acme/log-triage:1.0.0");
    ASSERT_TRUE(writer->finish());
    std::filesystem::create_directories(folder() / "skerry-bundle/image");
  }
  [[nodiscard]] std::filesystem::path folder() const { return dir / "bundle"; }
  Result<void> check() {
    const auto layout = OciLayout::open(fs, folder());
    return layout ? check_bundle_files(fs, *layout, directive) : layout.error();
  }

  test::TempDir dir;
  test::TempDir packed_dir;
  std::filesystem::path packed = packed_dir.path();
  SystemFileSystem fs;
  Manifest manifest;
  std::string bytes;
  BundleDirective directive;
};

TEST_F(BundleFilesTest, HoldsEveryFileOfTheModel) {
  make();
  EXPECT_TRUE(check());
  // weights, chunk index, config, manifest
  EXPECT_EQ(directive.blobs.size(), 4U);
  const auto layout = OciLayout::open(fs, folder());
  const auto image = layout->find("acme/log-triage:1.0.0");
  ASSERT_TRUE(image) << image.error().to_string();
  EXPECT_EQ(image->bytes, bytes);
  const CancelFlag never;
  EXPECT_TRUE(layout->verify(image->manifest.config, never));
  EXPECT_TRUE(layout->verify(image->manifest.layers.at(0), never));
}

TEST_F(BundleFilesTest, MissingExtraAndCutFilesAreNamed) {
  make();
  const auto blob = folder() / "blobs/sha256" / manifest.all_files()[0].digest.hex();
  write(folder() / "blobs/sha256/extra", "x");
  auto found = check();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Error::Code::kMetadataMismatch);
  std::filesystem::remove(folder() / "blobs/sha256/extra");
  write(folder() / "skerry-bundle/autorun", "x");
  EXPECT_EQ(check().error().code(), Error::Code::kMetadataMismatch);
  std::filesystem::remove(folder() / "skerry-bundle/autorun");
  std::filesystem::resize_file(blob, 100);
  EXPECT_EQ(check().error().code(), Error::Code::kSizeMismatch);
  std::filesystem::remove(blob);
  EXPECT_EQ(check().error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::registry
