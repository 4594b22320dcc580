// OCI layouts: the media types of each maker, archives, nested indexes, and what is not so.

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "skerry/registry/tar_index.hpp"

#include "import_files.hpp"
#include "memory_file.hpp"
#include "split_gguf.hpp"

namespace skerry::registry {
namespace {

using test::content_of;
using test::gguf_bytes;
using test::ImportFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";

// One ustar entry; `kind` '0' is a file, '2' a link.
std::string tar_entry(const std::string& name, const std::string& content, char kind = '0') {
  std::string block(512, '\0');
  const auto put = [&block](std::size_t at, const std::string& text) {
    block.replace(at, text.size(), text);
  };
  const auto octal = [](std::uint64_t value, int digits) {
    std::string out;
    for (int i = 0; i < digits; ++i) {
      out.insert(out.begin(), static_cast<char>('0' + (value & 7U)));
      value >>= 3U;
    }
    return out;
  };
  put(0, name);
  put(100, "0000644");
  put(124, octal(content.size(), 11));
  put(136, "00000000000");
  block[156] = kind;
  put(257,
      std::string{"ustar\0"
                  "00",
                  8});
  put(148, "        ");
  std::uint64_t sum = 0;
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  put(148, octal(sum, 6) + std::string{"\0 ", 2});
  std::string data = content;
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return block + data;
}

std::string tar_end() {
  return std::string(1024, '\0');
}

class OciLayout : public ImportFolder {
 public:
  OciLayout() { write("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"); }

  Json blob(std::string_view media_type,
            const std::string& content,
            Json::Object annotations = {}) {
    const Digest digest = Digest::of(content);
    write("blobs/sha256/" + digest.hex(), content);
    Json::Object out{{"mediaType", media_type},
                     {"digest", digest.to_string()},
                     {"size", static_cast<std::uint64_t>(content.size())}};
    if (!annotations.empty()) {
      out.emplace("annotations", std::move(annotations));
    }
    return Json{std::move(out)};
  }
  Json manifest(Json::Array layers, const std::string& name = {}) {
    const Json json = Json::Object{{"schemaVersion", 2},
                                   {"config", blob("application/vnd.oci.empty.v1+json", "{}")},
                                   {"layers", std::move(layers)}};
    Json::Object annotations;
    if (!name.empty()) {
      annotations.emplace("org.opencontainers.image.ref.name", name);
    }
    return blob(kManifestType, json.dump(), std::move(annotations));
  }
  void index(Json::Array manifests) {
    write("index.json",
          Json{Json::Object{{"schemaVersion", 2}, {"manifests", std::move(manifests)}}}.dump());
  }
};

struct MakerRow {
  std::string name;
  std::string media_type;
  std::string annotation;
  std::string path;
};

void PrintTo(const MakerRow& row, std::ostream* out) {
  *out << row.name;
}

class OciMakers : public ::testing::TestWithParam<MakerRow> {};

TEST_P(OciMakers, AreRead) {
  OciLayout layout;
  Json::Object annotations;
  if (!GetParam().annotation.empty()) {
    annotations.emplace(GetParam().annotation, GetParam().path);
  }
  layout.index({layout.manifest(
      {layout.blob(GetParam().media_type, gguf_bytes(), std::move(annotations))}, "tiny:v1")});
  const auto plan = layout.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->format, ImportFormat::kOci);
  EXPECT_EQ(plan->name, "tiny");
  ASSERT_EQ(plan->variants.size(), 1U);
  EXPECT_EQ(plan->variants[0].format, "gguf");
  EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
  EXPECT_EQ(plan->variants[0].files[0].expected, Digest::of(gguf_bytes()));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    OciMakers,
    ::testing::Values(
        MakerRow{"modelpack",
                 "application/vnd.cncf.model.weight.v1.raw",
                 "org.cncf.model.filepath",
                 "tiny-Q8_0.gguf"},
        MakerRow{"modelpack_before_cncf",
                 "application/vnd.cnai.model.weight.v1.raw",
                 "org.cnai.model.filepath",
                 "models/tiny.gguf"},
        MakerRow{"modelpack_by_docker", "application/vnd.cncf.model.weight.v1.gguf", "", ""},
        MakerRow{"docker_model_runner", "application/vnd.docker.ai.gguf.v3", "", ""},
        MakerRow{
            "oras", "application/octet-stream", "org.opencontainers.image.title", "tiny.gguf"}),
    [](const auto& row) { return row.param.name; });

TEST(OciImport, KitOpsArchivesAreReadWhereTheyLie) {
  OciLayout layout;
  layout.index(
      {layout.manifest({layout.blob("application/vnd.kitops.modelkit.model.v1.tar",
                                    tar_entry("model/tiny-q8_0.gguf", gguf_bytes()) + tar_end()),
                        layout.blob("application/vnd.kitops.modelkit.code.v1.tar",
                                    tar_entry("README.md", "# tiny") + tar_end())},
                       "latest")});
  const auto plan = layout.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->variants.size(), 1U);
  EXPECT_EQ(plan->variants[0].name, "q8_0");
  EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
  ASSERT_EQ(plan->shared.size(), 1U);
  EXPECT_EQ(content_of(plan->shared[0]), "# tiny");
}

TEST(OciImport, NamelessLayersOfDockerAreThePartsOfOneModel) {
  OciLayout layout;
  Json::Array layers;
  for (const auto& part : skerry::test::split_small_model()) {
    layers.push_back(layout.blob("application/vnd.docker.ai.gguf.v3", part.bytes()));
  }
  layers.push_back(layout.blob("application/vnd.docker.ai.license", "Apache"));
  layout.index({layout.manifest(std::move(layers))});
  const auto plan = layout.plan();
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->variants.size(), 1U);
  EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
  ASSERT_EQ(plan->shared.size(), 1U);
  EXPECT_EQ(plan->shared[0].role, FileRole::kLicense);
}

TEST(OciImport, ChoosesAmongManifestsByNameDigestAndMachine) {
  OciLayout layout;
  const std::string type = "application/vnd.docker.ai.gguf.v3";
  const Json one = layout.manifest({layout.blob(type, gguf_bytes())}, "one");
  Json two = layout.manifest({layout.blob(type, gguf_bytes()), layout.blob("x/y", "more")}, "two");
  Json here = layout.manifest({layout.blob(type, gguf_bytes()), layout.blob("x/y", "here")});
  Json there = layout.manifest({layout.blob(type, gguf_bytes()), layout.blob("x/y", "there")});
#if defined(__x86_64__)
  const std::string ours = "amd64";
#else
  const std::string ours = "arm64";
#endif
  (*here.object())["platform"] = Json{Json::Object{{"os", "linux"}, {"architecture", ours}}};
  (*there.object())["platform"] = Json{Json::Object{{"os", "linux"}, {"architecture", "s390x"}}};
  const Json inner = layout.blob(
      kIndexType,
      Json{Json::Object{{"schemaVersion", 2}, {"manifests", Json::Array{here, there}}}}.dump(),
      {{"org.opencontainers.image.ref.name", "many"}});
  layout.index({one, two, inner});
  const auto unsure = layout.plan();
  ASSERT_FALSE(unsure);
  EXPECT_THAT(unsure.error().message(), HasSubstr("--pick"));
  EXPECT_THAT(unsure.error().message(), HasSubstr("one, two, many (" + ours + "), many (s390x)"));
  for (const std::string& pick : {std::string{"one"}, *one.get_string("digest")}) {
    const auto plan = layout.plan({ImportFormat::kAuto, pick});
    ASSERT_TRUE(plan) << plan.error().to_string();
    EXPECT_EQ(plan->annotations.at("skerry.import.manifest"), *one.get_string("digest"));
  }
  const auto many = layout.plan({ImportFormat::kAuto, "many"});
  ASSERT_TRUE(many) << many.error().to_string();
  EXPECT_EQ(many->annotations.at("skerry.import.manifest"), *here.get_string("digest"));
}

struct BadLayout {
  std::string name;
  std::function<void(OciLayout&)> make;
  std::string message;
};

void PrintTo(const BadLayout& row, std::ostream* out) {
  *out << row.name;
}

class OciHostile : public ::testing::TestWithParam<BadLayout> {};

TEST_P(OciHostile, IsRefused) {
  OciLayout layout;
  GetParam().make(layout);
  const auto plan = layout.plan();
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().to_string(), HasSubstr(GetParam().message));
}

BadLayout bad_tar(std::string name, std::string archive, std::string message) {
  return {
      std::move(name),
      [archive](OciLayout& l) {
        l.index({l.manifest({l.blob("application/vnd.kitops.modelkit.model.v1.tar", archive)})});
      },
      std::move(message)};
}

BadLayout bad_path(std::string name, std::string path) {
  return {std::move(name),
          [path](OciLayout& l) {
            l.index({l.manifest({l.blob("application/vnd.cncf.model.weight.v1.raw",
                                        gguf_bytes(),
                                        {{"org.cncf.model.filepath", path}})})});
          },
          "does not stay inside"};
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    OciHostile,
    ::testing::Values(
        bad_path("path_parent", "../m.gguf"),
        bad_path("path_absolute", "/m.gguf"),
        bad_path("path_in_the_middle", "a/../../m.gguf"),
        bad_tar("tar_parent", tar_entry("../m.gguf", gguf_bytes()) + tar_end(), "does not stay"),
        bad_tar("tar_absolute", tar_entry("/m.gguf", gguf_bytes()) + tar_end(), "does not stay"),
        bad_tar("tar_symlink", tar_entry("m.gguf", "", '2') + tar_end(), "is a link"),
        bad_tar("tar_hard_link", tar_entry("m.gguf", "", '1') + tar_end(), "is a link"),
        bad_tar("tar_device", tar_entry("m.gguf", "", '3') + tar_end(), "is a link, a device"),
        bad_tar("tar_gnu_long_name", tar_entry("././@LongLink", "x", 'L') + tar_end(), "unknown"),
        bad_tar("tar_twice",
                tar_entry("m.gguf", gguf_bytes()) + tar_entry("m.gguf", "x") + tar_end(),
                "occurs twice"),
        bad_tar("tar_cut", tar_entry("m.gguf", gguf_bytes()).substr(0, 900), "ends inside"),
        bad_tar(
            "tar_checksum",
            [] {
              std::string archive = tar_entry("m.gguf", gguf_bytes());
              archive[0] = 'n';
              return archive;
            }(),
            "checksum"),
        BadLayout{"layer_of_another_digest",
                  [](OciLayout& l) {
                    const Json layer = l.blob("application/vnd.kitops.modelkit.model.v1.tar",
                                              tar_entry("m.gguf", gguf_bytes()) + tar_end());
                    std::string other = tar_entry("m.gguf", gguf_bytes()) + tar_end();
                    other.back() = 'x';
                    l.write("blobs/sha256/" + layer.get_string("digest")->substr(7), other);
                    l.index({l.manifest({layer})});
                  },
                  "digest_mismatch"},
        BadLayout{"layer_missing",
                  [](OciLayout& l) {
                    l.index({l.manifest(
                        {Json{Json::Object{{"mediaType", "application/vnd.docker.ai.gguf.v3"},
                                           {"digest", "sha256:" + std::string(64, 'a')},
                                           {"size", 5}}}})});
                  },
                  "aaaa"},
        BadLayout{"layer_size_lies",
                  [](OciLayout& l) {
                    Json layer = l.blob("application/vnd.docker.ai.gguf.v3", gguf_bytes());
                    (*layer.object())["size"] = 1;
                    l.index({l.manifest({layer})});
                  },
                  "its descriptor says 1"},
        BadLayout{"digest_is_a_path",
                  [](OciLayout& l) {
                    l.index({l.manifest({Json{Json::Object{
                        {"mediaType", "x"}, {"digest", "sha256:../../../x"}, {"size", 5}}}})});
                  },
                  "digest"},
        BadLayout{"manifest_of_another_digest",
                  [](OciLayout& l) {
                    const Json manifest = l.manifest({});
                    l.write("blobs/sha256/" + manifest.get_string("digest")->substr(7), "{}");
                    l.index({manifest});
                  },
                  "its descriptor says"},
        BadLayout{"index_too_deep",
                  [](OciLayout& l) {
                    Json entry = l.manifest({});
                    for (int i = 0; i < 5; ++i) {
                      entry = l.blob(kIndexType,
                                     Json{Json::Object{{"schemaVersion", 2},
                                                       {"manifests", Json::Array{entry}}}}
                                         .dump());
                    }
                    l.index({entry});
                  },
                  "nested deeper"},
        BadLayout{"gzip_is_none",
                  [](OciLayout& l) {
                    l.index({l.manifest({l.blob("application/vnd.oci.image.layer.v1.tar+gzip",
                                                tar_entry("m.gguf", gguf_bytes()))})});
                  },
                  "not gzip"},
        BadLayout{"a_layout_of_the_future",
                  [](OciLayout& l) {
                    l.write("oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
                    l.index({});
                  },
                  "imageLayoutVersion"},
        BadLayout{"no_model",
                  [](OciLayout& l) { l.index({l.manifest({l.blob("text/plain", "hello")})}); },
                  "GGUF or ONNX"}),
    [](const auto& row) { return row.param.name; });

// Independent makers, where they are installed.
class OciTools : public ::testing::Test {
 protected:
  static bool have(const std::string& tool) {
    return std::system(("command -v " + tool + " >/dev/null").c_str()) == 0;
  }
  void run(const std::string& command) const {
    const std::string all = "cd " + folder_.path().string() + " && " + command + " >log 2>&1";
    const int status = std::system(all.c_str());
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command;
  }
  ImportFolder folder_;
};

TEST_F(OciTools, AnImageThatUmociMadeAndSkopeoCopied) {
  if (!have("umoci") || !have("skopeo")) {
    GTEST_SKIP() << "umoci and skopeo are not installed";
  }
  folder_.write("files/models/tiny-q8_0.gguf", gguf_bytes());
  run("umoci init --layout made && umoci new --image made:v1 && "
      "umoci insert --rootless --image made:v1 files /");
  run("skopeo copy oci:made:v1 oci:copied:v1");
  for (const std::string inside : {"made", "copied"}) {
    const auto plan = folder_.plan({}, inside);
    ASSERT_TRUE(plan) << plan.error().to_string();
    ASSERT_EQ(plan->variants.size(), 1U);
    EXPECT_EQ(plan->variants[0].name, "q8_0");
    EXPECT_EQ(content_of(plan->variants[0].files[0]), gguf_bytes());
  }
}

}  // namespace
}  // namespace skerry::registry
