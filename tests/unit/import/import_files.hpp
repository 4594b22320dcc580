#pragma once

// Folders as other tools leave them, for the tests of the importers.

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/registry/import_plan.hpp"

#include "gguf_bytes.hpp"
#include "onnx_bytes.hpp"
#include "temp_dir.hpp"

namespace skerry::registry::test {

class ImportFolder {
 public:
  void write(const std::string& path, std::string_view content) const {
    const std::filesystem::path full = dir_ / path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream file{full, std::ios::binary};
    file << content;
  }
  void link(const std::string& path, const std::string& to) const {
    std::filesystem::create_directories((dir_ / path).parent_path());
    std::filesystem::create_symlink(to, dir_ / path);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return dir_.path(); }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return dir_ / name; }

  [[nodiscard]] Result<ImportPlan> plan(ImportRequest request = {},
                                        const std::string& inside = {}) {
    return plan_import(fs_, inside.empty() ? dir_.path() : dir_ / inside, request);
  }

  // A blob of an Ollama folder; gives its layer.
  [[nodiscard]] Json ollama_layer(const std::string& kind, const std::string& content) const {
    const Digest digest = Digest::of(content);
    write("blobs/sha256-" + digest.hex(), content);
    return Json{Json::Object{{"mediaType", "application/vnd.ollama.image." + kind},
                             {"digest", digest.to_string()},
                             {"size", static_cast<std::uint64_t>(content.size())}}};
  }
  void ollama_manifest(const std::string& name, Json::Array layers) const {
    write("manifests/" + name,
          Json{Json::Object{{"schemaVersion", 2},
                            {"mediaType", "application/vnd.docker.distribution.manifest.v2+json"},
                            {"layers", std::move(layers)}}}
              .dump());
  }

 private:
  skerry::test::TempDir dir_;
  SystemFileSystem fs_;
};

inline std::string content_of(const ImportFile& file) {
  auto opened = file.open();
  EXPECT_TRUE(opened) << opened.error().to_string();
  if (!opened) {
    return {};
  }
  std::string out(file.size, '\0');
  const auto read =
      (*opened)->read_at(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  EXPECT_TRUE(read && *read == out.size());
  return out;
}

// y = relu(x · w), with w in another file.
inline std::string onnx_with_external(const std::string& location) {
  using skerry::test::Proto;
  const auto entry = [](std::string_view key, std::string_view value) {
    return Proto{}.bytes(1, key).bytes(2, value);
  };
  Proto tensor;
  tensor.varint(1, 3)
      .varint(1, 2)
      .varint(2, 1)
      .bytes(8, "w")
      .message(13, entry("location", location))
      .message(13, entry("offset", "0"))
      .message(13, entry("length", "24"))
      .varint(14, 1);
  return skerry::test::onnx_model(
      Proto{}
          .bytes(2, "g")
          .message(1, skerry::test::onnx_node("MatMul", {"x", "w"}, {"h"}))
          .message(1, skerry::test::onnx_node("Relu", {"h"}, {"y"}))
          .message(5, tensor)
          .message(11, skerry::test::onnx_value("x", 1, {-1, 3}))
          .message(12, skerry::test::onnx_value("y", 1, {-1, 2})));
}

inline std::string gguf_bytes() {
  return skerry::test::GgufBytes::small_model().bytes();
}

}  // namespace skerry::registry::test
