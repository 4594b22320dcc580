// Folders that try to lead an importer out of themselves, or to grow it without bound.

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "skerry/registry/source_folder.hpp"

#include "import_files.hpp"

namespace skerry::registry {
namespace {

using test::gguf_bytes;
using test::ImportFolder;
using test::onnx_with_external;
using ::testing::HasSubstr;

struct ImportRow {
  std::string name;
  std::function<void(ImportFolder&)> make;
  std::string message;
};

void PrintTo(const ImportRow& row, std::ostream* out) {
  *out << row.name;
}

class ImportHostile : public ::testing::TestWithParam<ImportRow> {};

TEST_P(ImportHostile, IsRefused) {
  ImportFolder folder;
  GetParam().make(folder);
  const auto plan = folder.plan();
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().to_string(), HasSubstr(GetParam().message));
}

ImportRow external(std::string name, std::string location, std::string message) {
  return {std::move(name),
          [location](ImportFolder& f) {
            f.write("model.onnx", onnx_with_external(location));
            f.write("data.bin", std::string(24, 'w'));
            f.write("inner/data.bin", std::string(24, 'w'));
          },
          std::move(message)};
}

ImportRow ollama_digest(std::string name, std::string digest, std::string message) {
  return {std::move(name),
          [digest](ImportFolder& f) {
            (void)f.ollama_layer("model", gguf_bytes());
            f.ollama_manifest(
                "registry.ollama.ai/library/tiny/latest",
                {Json{Json::Object{{"mediaType", "application/vnd.ollama.image.model"},
                                   {"digest", digest},
                                   {"size", static_cast<std::uint64_t>(gguf_bytes().size())}}}});
          },
          std::move(message)};
}

ImportRow package(std::string name, std::string manifest, std::string message) {
  return {std::move(name),
          [manifest](ImportFolder& f) {
            f.write("manifest.json", manifest);
            f.write("cpu/model.onnx", skerry::test::onnx_small_model());
          },
          std::move(message)};
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    ImportHostile,
    ::testing::Values(
        // CVE-2022-25882, -2024-27318, -2026-27489: external data of ONNX.
        external("external_parent", "../data.bin", "not a plain file name"),
        external("external_absolute", "/etc/passwd", "not a plain file name"),
        external("external_folder", "inner/data.bin", "not a plain file name"),
        external("external_dotdot_in_the_middle", "inner/../data.bin", "not a plain file name"),
        external("external_missing", "other.bin", "'other.bin'"),
        ImportRow{"external_symlink",
                  [](ImportFolder& f) {
                    f.write("model.onnx", onnx_with_external("data.bin"));
                    f.link("data.bin", "/etc/hostname");
                  },
                  "data.bin is a symbolic link"},
        ImportRow{"model_symlink",
                  [](ImportFolder& f) {
                    f.write("real", gguf_bytes());
                    f.link("m.gguf", "real");
                    f.write("other-q4_0.gguf", gguf_bytes());
                  },
                  "symbolic link"},
        ImportRow{"folder_symlink",
                  [](ImportFolder& f) {
                    f.write(
                        "manifest.json",
                        R"({"schema_version":"1.0","components":{"a":{"variants":{"cpu":{}}}}})");
                    f.write("real/model.onnx", skerry::test::onnx_small_model());
                    f.link("cpu", "real");
                  },
                  "cpu"},
        ImportRow{"fifo_instead_of_a_model",
                  [](ImportFolder& f) {
                    f.write("x-q8_0.gguf", gguf_bytes());
                    ASSERT_EQ(::mkfifo((f / "m.gguf").c_str(), 0600), 0);
                  },
                  "special file"},
        ImportRow{"split_part_is_a_link",
                  [](ImportFolder& f) {
                    f.write("m-00001-of-00002.gguf", gguf_bytes());
                    f.link("m-00002-of-00002.gguf", "m-00001-of-00002.gguf");
                  },
                  "symbolic link"},
        ImportRow{"split_part_is_missing",
                  [](ImportFolder& f) { f.write("m-00001-of-00002.gguf", gguf_bytes()); },
                  "m-00002-of-00002.gguf"},
        // CVE-2024-37032: a digest that is a path.
        ollama_digest("ollama_digest_path", "sha256:../../../../etc/passwd", "digest"),
        ollama_digest("ollama_digest_short", "sha256:abcd", "digest"),
        ollama_digest("ollama_digest_other", "md5:" + std::string(64, '0'), "digest"),
        ollama_digest("ollama_blob_missing", "sha256:" + std::string(64, '0'), "blobs/sha256-000"),
        ImportRow{"ollama_blob_is_a_link",
                  [](ImportFolder& f) {
                    const Json layer = f.ollama_layer("model", gguf_bytes());
                    const std::string blob = "blobs/sha256-" + Digest::of(gguf_bytes()).hex();
                    std::filesystem::rename(f / blob, f / "elsewhere");
                    f.link(blob, "../elsewhere");
                    f.write("blobs/another", "x");
                    f.ollama_manifest("registry.ollama.ai/library/t/latest", {layer});
                  },
                  "symbolic link"},
        ImportRow{"ollama_size_lies",
                  [](ImportFolder& f) {
                    Json layer = f.ollama_layer("model", gguf_bytes());
                    (*layer.object())["size"] = 7;
                    f.ollama_manifest("registry.ollama.ai/library/t/latest", {layer});
                  },
                  "the manifest says 7"},
        ImportRow{"ollama_manifest_too_large",
                  [](ImportFolder& f) {
                    (void)f.ollama_layer("model", gguf_bytes());
                    f.write("manifests/h/n/m/t", std::string(5U << 20U, ' '));
                  },
                  "at most 4194304 are read"},
        ImportRow{"ollama_manifest_nested",
                  [](ImportFolder& f) {
                    (void)f.ollama_layer("model", gguf_bytes());
                    f.write("manifests/h/n/m/t", std::string(100'000, '['));
                  },
                  "manifests/h/n/m/t"},
        package("package_variant_leaves",
                R"({"schema_version":"1.0","components":{"a":{"variants":
                   {"x":{"variant_directory":"../elsewhere"}}}}})",
                "does not stay inside"),
        package("package_component_leaves",
                R"({"schema_version":"1.0","components":{"a":"/etc"}})",
                "does not stay inside"),
        package("package_model_leaves",
                R"({"schema_version":"1.0","components":{"a":{"variants":{"cpu":
                   {"executor_info":{"ort":{"model_file":"../../x.onnx"}}}}}}})",
                "does not stay inside"),
        package("package_asset_leaves",
                R"({"schema_version":"1.0","components":{"a":{"variants":{"cpu":
                   {"executor_info":{"ort":{"model_file":"sha256:../../x"}}}}}}})",
                "model_file"),
        package("package_installed_layout",
                R"({"schema_version":"1.0","layout":"installed","components":{"a":{}}})",
                "installed"),
        package("package_of_the_future",
                R"({"schema_version":"2.0","components":{"a":{}}})",
                "schema_version"),
        package("package_for_another_machine",
                R"({"schema_version":"1.0","components":{"a":{"variants":
                   {"q":{"ep":"QNNExecutionProvider"}}}}})",
                "no variant for the CPU"),
        ImportRow{"gguf_is_hostile",
                  [](ImportFolder& f) {
                    auto model = skerry::test::GgufBytes::small_model();
                    model.tensors[2].offset = 1ULL << 40U;
                    f.write("m.gguf", model.bytes());
                  },
                  "reaches beyond"}),
    [](const auto& row) { return row.param.name; });

TEST(SourceFolder, OpensNothingOutside) {
  ImportFolder folder;
  folder.write("in/file", "x");
  folder.link("out", "/etc");
  folder.link("in/link", "file");
  SystemFileSystem fs;
  const auto source = SourceFolder::open(fs, folder.path(), true);
  ASSERT_TRUE(source);
  EXPECT_TRUE((*source)->open_file("in/file"));
  for (const std::string path : {"",
                                 "/etc/passwd",
                                 "../x",
                                 "in/../in/file",
                                 "in//file",
                                 "./in/file",
                                 "in/./file",
                                 "in/",
                                 "in",
                                 "in/link",
                                 "out/passwd",
                                 "in\\file"}) {
    EXPECT_FALSE((*source)->open_file(path)) << path;
  }
  EXPECT_FALSE((*source)->open_file(std::string{"in/file\0x", 9}));
  EXPECT_EQ((*source)->irregular(), (std::vector<std::string>{"in/link", "out"}));
}

TEST(SourceFolder, DepthIsLimited) {
  ImportFolder folder;
  std::string deep;
  for (std::size_t i = 0; i <= SourceFolder::kMaxDepth; ++i) {
    deep += "d/";
  }
  folder.write(deep + "file", "x");
  SystemFileSystem fs;
  const auto source = SourceFolder::open(fs, folder.path(), true);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code(), Error::Code::kTooLarge);
}

// Between the listing and the reading somebody puts a link where a file was.
TEST(SourceFolder, AFileThatBecameALinkIsNotFollowed) {
  ImportFolder folder;
  folder.write("file", "x");
  SystemFileSystem fs;
  const auto source = SourceFolder::open(fs, folder.path(), true);
  ASSERT_TRUE(source);
  std::filesystem::remove(folder / "file");
  folder.link("file", "/etc/hostname");
  const auto opened = (*source)->open_file("file");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Error::Code::kFailedPrecondition);
}

}  // namespace
}  // namespace skerry::registry
