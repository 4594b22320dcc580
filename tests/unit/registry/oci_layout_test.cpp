// OCI image layouts: what the writer makes the reader takes, byte for byte the same each time; what
// somebody else made is believed only as far as its digests go.

#include "skerry/registry/oci_layout.hpp"

#include <cstdlib>
#include <fstream>

#include <sys/stat.h>

#include "skerry/common/confined_folder.hpp"
#include "skerry/common/share_file.hpp"

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::Fault;
using test::FaultFileSystem;
using test::Loss;
using test::TempDir;

constexpr std::string_view kRaw = "application/vnd.cncf.model.weight.v1.raw";
constexpr std::string_view kConfig = "application/vnd.cncf.model.config.v1+json";

void write_raw(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary} << text;
}

std::string read_raw(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

// A layout of one model of two layers, named "1.0.0".
Result<OciDescriptor> write_layout(FileSystem& fs,
                                   const std::filesystem::path& folder,
                                   const std::filesystem::path& weights,
                                   const OciLayoutWriter::ShareFile& share = {}) {
  auto writer = OciLayoutWriter::create(fs, folder, share);
  if (!writer) {
    return writer.error();
  }
  OciManifest manifest;
  manifest.media_type = kOciManifestType;
  manifest.artifact_type = "application/vnd.cncf.model.manifest.v1+json";
  auto config = writer->add(std::string{kConfig}, "{}");
  auto card = writer->add("text/markdown", "# a model\n");
  auto model = writer->add_file(std::string{kRaw}, weights);
  for (const auto* part : {&config, &card, &model}) {
    if (!*part) {
      return part->error();
    }
  }
  manifest.config = *config;
  manifest.layers = {*model, *card};
  manifest.layers[0].annotations.emplace("org.cncf.model.filepath", "model.gguf");
  auto listed = writer->add(std::string{kOciManifestType}, manifest.serialise());
  if (!listed) {
    return listed;
  }
  writer->list(*listed, "1.0.0");
  if (auto done = writer->finish(); !done) {
    return done.error();
  }
  return listed;
}

class OciLayoutTest : public ::testing::Test {
 protected:
  OciLayoutTest() { write_raw(dir / "model.gguf", std::string(300'000, 'w').append("end")); }

  [[nodiscard]] std::filesystem::path folder() const { return dir / "layout"; }
  void write() { ASSERT_TRUE(write_layout(fs, folder(), dir / "model.gguf")); }
  [[nodiscard]] std::filesystem::path blob(const Digest& digest) const {
    return folder() / "blobs" / "sha256" / digest.hex();
  }
  // Opens the folder as an importer does.
  Error::Code refusal() {
    confined = *ConfinedFolder::open(folder());
    const auto layout = OciLayout::open(*confined, "");
    if (!layout) {
      return layout.error().code();
    }
    const auto images = layout->images();
    return images ? Error::Code::kInternal : images.error().code();
  }

  TempDir dir;
  SystemFileSystem fs;
  std::unique_ptr<ConfinedFolder> confined;
};

TEST_F(OciLayoutTest, ReadsWhatItWrote) {
  write();
  confined = *ConfinedFolder::open(folder());
  const auto layout = OciLayout::open(*confined, "");
  ASSERT_TRUE(layout) << layout.error().to_string();
  const auto image = layout->find("1.0.0");
  ASSERT_TRUE(image) << image.error().to_string();
  ASSERT_EQ(image->manifest.layers.size(), 2U);
  EXPECT_EQ(image->manifest.layers[0].annotation("org.cncf.model.filepath"), "model.gguf");
  EXPECT_EQ(*layout->read(image->manifest.config), "{}");
  EXPECT_EQ(*layout->read(image->manifest.layers[1]), "# a model\n");
  const CancelFlag never;
  for (const auto& layer : image->manifest.layers) {
    EXPECT_TRUE(layout->verify(layer, never));
  }
  EXPECT_TRUE(layout->find(image->descriptor.digest.to_string()));
  const auto other = layout->find("2.0.0");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Error::Code::kNotFound);
  EXPECT_NE(other.error().message().find("1.0.0"), std::string::npos);
}

TEST_F(OciLayoutTest, WritesTheSameBytesEachTime) {
  write();
  ASSERT_TRUE(write_layout(fs, dir / "again", dir / "model.gguf", share_file));
  EXPECT_EQ(read_raw(folder() / "index.json"), read_raw(dir / "again/index.json"));
  EXPECT_EQ(read_raw(folder() / "oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
  EXPECT_EQ(*fs.list(folder() / "blobs/sha256"), *fs.list(dir / "again/blobs/sha256"));
}

TEST_F(OciLayoutTest, SharesTheFileWhereItCan) {
  auto writer = OciLayoutWriter::create(fs, folder(), share_file);
  ASSERT_TRUE(writer);
  const auto added = writer->add_file(std::string{kRaw}, dir / "model.gguf");
  ASSERT_TRUE(added) << added.error().to_string();
  EXPECT_EQ(writer->counts().shared_bytes, 300'003U);
  // The same once more leaves no second name behind.
  ASSERT_TRUE(writer->add_file(std::string{kRaw}, dir / "model.gguf"));
  EXPECT_EQ(fs.list(folder() / "blobs")->size(), 1U);
  EXPECT_EQ(fs.list(folder() / "blobs/sha256")->size(), 1U);
}

TEST_F(OciLayoutTest, RefusesAFileThatIsNotTheOneExpected) {
  auto writer = OciLayoutWriter::create(fs, folder());
  ASSERT_TRUE(writer);
  const auto added =
      writer->add_file(std::string{kRaw}, dir / "model.gguf", Digest::of(std::string_view{"x"}));
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), Error::Code::kDigestMismatch);
  EXPECT_TRUE(fs.list(folder() / "blobs/sha256")->empty());
}

TEST_F(OciLayoutTest, GoesOnWhereItWasInterrupted) {
  {
    auto writer = OciLayoutWriter::create(fs, folder());
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->add_file(std::string{kRaw}, dir / "model.gguf"));
  }
  write_raw(folder() / "blobs" / ".part-7", "half");
  const Digest digest = Digest::of(read_raw(dir / "model.gguf"));
  auto writer = OciLayoutWriter::create(fs, folder());
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->add_file(std::string{kRaw}, dir / "model.gguf", digest));
  EXPECT_EQ(writer->counts().kept_bytes, 300'003U);
  EXPECT_EQ(*fs.list(folder() / "blobs"), std::vector<std::string>{"sha256"});
}

TEST_F(OciLayoutTest, DoesNotTouchAFinishedLayout) {
  write();
  const auto again = write_layout(fs, folder(), dir / "model.gguf");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Error::Code::kAlreadyExists);
}

TEST_F(OciLayoutTest, IsWholeOrNoLayoutAtEveryPowerCut) {
  std::uint64_t points = 0;
  for (std::uint64_t k = 0;; ++k) {
    TempDir place;
    write_raw(place / "model.gguf", "weights");
    FaultFileSystem faulty{place.path()};
    faulty.fail_at(k, Fault::kPowerCut);
    const bool done = write_layout(faulty, place / "layout", place / "model.gguf").has_value();
    if (!faulty.fired()) {
      ASSERT_TRUE(done);
      break;
    }
    ++points;
    faulty.restart(Loss::kUnsynced);
    const auto layout = OciLayout::open(faulty, place / "layout");
    if (layout) {
      const auto image = layout->find("1.0.0");
      ASSERT_TRUE(image) << "k = " << k << ": " << image.error().to_string();
      for (const auto& layer : image->manifest.layers) {
        ASSERT_TRUE(layout->read(layer)) << "k = " << k;
      }
    } else if (!faulty.exists(place / "layout/index.json")) {
      // A second attempt finishes what the first one began.
      ASSERT_TRUE(write_layout(faulty, place / "layout", place / "model.gguf")) << "k = " << k;
    }
  }
  EXPECT_GT(points, 20U);
}

TEST_F(OciLayoutTest, RefusesWhatWasChanged) {
  write();
  const std::string index = read_raw(folder() / "index.json");
  const auto parsed = parse_oci_index(index);
  ASSERT_TRUE(parsed);
  const auto manifest_path = blob(parsed->manifests[0].digest);
  const std::string manifest = read_raw(manifest_path);

  std::string flipped = manifest;
  flipped[flipped.size() / 2] ^= 1;
  write_raw(manifest_path, flipped);
  EXPECT_EQ(refusal(), Error::Code::kDigestMismatch);
  write_raw(manifest_path, manifest + " ");
  EXPECT_EQ(refusal(), Error::Code::kSizeMismatch);
  std::filesystem::remove(manifest_path);
  EXPECT_EQ(refusal(), Error::Code::kNotFound);
  write_raw(manifest_path, manifest);
  EXPECT_EQ(refusal(), Error::Code::kInternal);

  write_raw(folder() / "index.json", "[]");
  EXPECT_EQ(refusal(), Error::Code::kParse);
  write_raw(folder() / "index.json", std::string(OciLimits::kJsonBytes + 1, ' '));
  EXPECT_EQ(refusal(), Error::Code::kTooLarge);
  write_raw(folder() / "index.json", index);
  write_raw(folder() / "oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  EXPECT_EQ(refusal(), Error::Code::kParse);
  std::filesystem::remove(folder() / "oci-layout");
  EXPECT_EQ(refusal(), Error::Code::kNotFound);
}

TEST_F(OciLayoutTest, FollowsNoLinkAndOpensNoSpecialFile) {
  write();
  const auto parsed = parse_oci_index(read_raw(folder() / "index.json"));
  const auto path = blob(parsed->manifests[0].digest);
  const std::string manifest = read_raw(path);
  std::filesystem::remove(path);
  // The right bytes, but outside.
  write_raw(dir / "outside", manifest);
  std::filesystem::create_symlink(dir / "outside", path);
  EXPECT_EQ(refusal(), Error::Code::kPermissionDenied);
  std::filesystem::remove(path);
  // Also one that stays inside.
  write_raw(folder() / "inside", manifest);
  std::filesystem::create_symlink("../../inside", path);
  EXPECT_EQ(refusal(), Error::Code::kPermissionDenied);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(refusal(), Error::Code::kInvalidArgument);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(refusal(), Error::Code::kInvalidArgument);
  // A folder on the way that is a link.
  std::filesystem::rename(folder() / "blobs", dir / "elsewhere");
  std::filesystem::create_symlink(dir / "elsewhere", folder() / "blobs");
  EXPECT_EQ(refusal(), Error::Code::kPermissionDenied);
}

std::string descriptor_text(std::string_view digest, std::string_view size) {
  return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
         std::string{digest} + R"(","size":)" + std::string{size} + "}";
}

TEST_F(OciLayoutTest, RefusesHostileIndexes) {
  const std::string good(64, 'a');
  struct Row {
    std::string name;
    std::string manifests;
    Error::Code code;
  };
  const std::vector<Row> rows{
      {"traversal", descriptor_text("sha256:../../../../etc/passwd", "5"), Error::Code::kParse},
      {"upper case", descriptor_text("sha256:" + std::string(64, 'A'), "5"), Error::Code::kParse},
      {"short", descriptor_text("sha256:aa", "5"), Error::Code::kParse},
      {"no algorithm", descriptor_text(good, "5"), Error::Code::kParse},
      {"another algorithm",
       descriptor_text("sha512:" + good + good, "5"),
       Error::Code::kUnimplemented},
      {"negative size", descriptor_text("sha256:" + good, "-1"), Error::Code::kParse},
      {"a size of a text", descriptor_text("sha256:" + good, "\"5\""), Error::Code::kParse},
      {"endless size",
       descriptor_text("sha256:" + good, "9223372036854775807"),
       Error::Code::kParse},
      {"large manifest", descriptor_text("sha256:" + good, "99999999"), Error::Code::kTooLarge},
      {"missing blob", descriptor_text("sha256:" + good, "5"), Error::Code::kNotFound},
      {"a number", "7", Error::Code::kParse},
  };
  for (const Row& row : rows) {
    write_raw(folder() / "oci-layout", oci_marker());
    std::filesystem::create_directories(folder() / "blobs/sha256");
    write_raw(folder() / "index.json",
              R"({"schemaVersion":2,"manifests":[)" + row.manifests + "]}");
    EXPECT_EQ(refusal(), row.code) << row.name;
  }
  write_raw(folder() / "index.json", R"({"schemaVersion":1,"manifests":[]})");
  EXPECT_EQ(refusal(), Error::Code::kParse);
  std::string many;
  for (std::size_t i = 0; i <= OciLimits::kDescriptors; ++i) {
    many += (i == 0 ? "" : ",") + descriptor_text("sha256:" + good, "5");
  }
  write_raw(folder() / "index.json", R"({"schemaVersion":2,"manifests":[)" + many + "]}");
  EXPECT_EQ(refusal(), Error::Code::kTooLarge);
}

TEST_F(OciLayoutTest, WalksNestedIndexesToALimit) {
  auto writer = OciLayoutWriter::create(fs, folder());
  ASSERT_TRUE(writer);
  OciManifest manifest;
  manifest.config = *writer->add(std::string{kConfig}, "{}");
  OciDescriptor inner = *writer->add(std::string{kOciManifestType}, manifest.serialise());
  for (std::size_t depth = 0; depth < OciLimits::kDepth; ++depth) {
    OciIndex index;
    index.manifests = {inner, inner};
    inner = *writer->add(std::string{kOciIndexType}, index.serialise());
  }
  writer->list(inner, "nested");
  ASSERT_TRUE(writer->finish());
  {
    const auto layout = OciLayout::open(fs, folder());
    const auto images = layout->images();
    ASSERT_TRUE(images) << images.error().to_string();
    ASSERT_EQ(images->size(), 1U);
    EXPECT_EQ(images->front().name, "nested");
  }
  OciIndex deeper;
  deeper.manifests = {inner};
  std::filesystem::remove(folder() / "index.json");
  auto again = OciLayoutWriter::create(fs, folder());
  again->list(*again->add(std::string{kOciIndexType}, deeper.serialise()), "");
  ASSERT_TRUE(again->finish());
  EXPECT_EQ(refusal(), Error::Code::kTooLarge);
}

TEST_F(OciLayoutTest, EmbeddedContentMustBeWhatTheDigestSays) {
  OciDescriptor descriptor;
  descriptor.media_type = kConfig;
  descriptor.digest = Digest::of(std::string_view{"{}"});
  descriptor.size = 2;
  descriptor.data = "{}";
  OciManifest manifest;
  manifest.config = descriptor;
  const auto parsed = parse_oci_manifest(manifest.serialise());
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(*parsed, manifest);
  manifest.config.data = "[]";
  const auto wrong = parse_oci_manifest(manifest.serialise());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Error::Code::kDigestMismatch);
  EXPECT_NE(wrong.error().message().find("manifest.config.data"), std::string::npos);
}

TEST_F(OciLayoutTest, ServesBlobsToAFetcher) {
  class TextSink final : public ByteSink {
   public:
    Result<void> write(ByteView bytes) override {
      text.append(as_text(bytes));
      return {};
    }
    std::string text;
  };
  write();
  const auto layout = OciLayout::open(fs, folder());
  const auto source = layout->source();
  TextSink sink;
  const CancelFlag never;
  const std::string weights = read_raw(dir / "model.gguf");
  ASSERT_TRUE(source->read({Digest::of(weights), 300'000, 3}, sink, never));
  EXPECT_EQ(sink.text, "end");
}

bool installed(const char* program) {
  // No other thread of the test changes the environment.
  return std::system(  // NOLINT(concurrency-mt-unsafe)
             (std::string{"command -v "} + program + " >/dev/null").c_str()) == 0;
}

int run_shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str());  // NOLINT(concurrency-mt-unsafe)
}

TEST_F(OciLayoutTest, SkopeoCopiesItWithoutAChange) {
  if (!installed("skopeo")) {
    GTEST_SKIP() << "skopeo is not installed";
  }
  write();
  const std::string copy = (dir / "copy").string();
  ASSERT_EQ(run_shell("skopeo --tmpdir " + dir.path().string() + " copy --insecure-policy oci:" +
                      folder().string() + ":1.0.0 oci:" + copy + ":copied"),
            0);
  const auto layout = OciLayout::open(fs, copy);
  ASSERT_TRUE(layout) << layout.error().to_string();
  const auto image = layout->find("copied");
  ASSERT_TRUE(image) << image.error().to_string();
  EXPECT_EQ(image->descriptor.digest, OciLayout::open(fs, folder())->find("")->descriptor.digest);
  const CancelFlag never;
  for (const auto& layer : image->manifest.layers) {
    EXPECT_TRUE(layout->verify(layer, never));
  }
}

TEST_F(OciLayoutTest, ReadsWhatUmociMakes) {
  if (!installed("umoci")) {
    GTEST_SKIP() << "umoci is not installed";
  }
  ASSERT_EQ(run_shell("umoci init --layout " + folder().string()), 0);
  ASSERT_EQ(run_shell("umoci new --image " + folder().string() + ":made"), 0);
  ASSERT_EQ(run_shell("umoci insert --rootless --image " + folder().string() + ":made " +
                      (dir / "model.gguf").string() + " /model.gguf"),
            0);
  confined = *ConfinedFolder::open(folder());
  const auto layout = OciLayout::open(*confined, "");
  ASSERT_TRUE(layout) << layout.error().to_string();
  const auto image = layout->find("made");
  ASSERT_TRUE(image) << image.error().to_string();
  ASSERT_EQ(image->manifest.layers.size(), 1U);
  const CancelFlag never;
  EXPECT_TRUE(layout->verify(image->manifest.layers[0], never));
}

}  // namespace
}  // namespace skerry::registry
