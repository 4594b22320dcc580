// Any bytes as the index of an Ollama folder, an Olive run, an ORT package or an OCI layout: the
// plan ends, and names nothing that is not in the folder.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "skerry/common/read_only_file.hpp"

#include "gguf_bytes.hpp"
#include "importers.hpp"
#include "memory_file.hpp"
#include "onnx_bytes.hpp"

namespace skerry::registry {
namespace {

class Folder {
 public:
  void add(std::string path, std::string content) {
    const std::uint64_t size = content.size();
    files_.push_back(VirtualFile{std::move(path),
                                 size,
                                 [content = std::move(content)]() -> Result<std::unique_ptr<File>> {
                                   return std::unique_ptr<File>{
                                       std::make_unique<test::MemoryFile>(content)};
                                 },
                                 std::nullopt});
  }
  SourcePtr take() { return SourceFolder::of(fs_, "folder", std::move(files_)); }

 private:
  SystemFileSystem fs_;
  std::vector<VirtualFile> files_;
};

// A layout at the root of a file system that is nowhere.
class MemoryFolder final : public ReadOnlyFileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     OpenMode /*mode*/,
                                     std::uint32_t /*mode_bits*/) override {
    const auto found = files.find(path.string());
    if (found == files.end()) {
      return Error{Error::Code::kNotFound, path.string()};
    }
    return std::unique_ptr<File>{std::make_unique<test::MemoryFile>(found->second)};
  }
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& path) const override {
    const auto found = files.find(path.string());
    if (found == files.end()) {
      return Error{Error::Code::kNotFound, path.string()};
    }
    FileStatus status;
    status.size = found->second.size();
    return status;
  }
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& /*directory*/) const override {
    return std::vector<std::string>{};
  }

  std::map<std::string, std::string> files;
};

void check(const Result<ImportPlan>& plan, const SourceFolder& source) {
  if (!plan) {
    return;
  }
  for (const ImportVariant& variant : plan->variants) {
    for (const ImportFile& file : variant.files) {
      if (!file.open() || file.size == 0 || file.name.find('/') != std::string::npos) {
        std::abort();
      }
    }
  }
  if (plan->variants.empty() || source.files().empty()) {
    std::abort();
  }
}

void plan_any(const std::uint8_t* data, std::size_t size) {
  const std::string index{reinterpret_cast<const char*>(data) + 1, size - 1};
  static const std::string gguf = test::GgufBytes::small_model().bytes();
  static const std::string onnx = test::onnx_small_model();
  Folder folder;
  switch (data[0] % 4) {
    case 0: {
      folder.add("manifests/h/n/m/t", index);
      folder.add("blobs/sha256-" + Digest::of(gguf).hex(), gguf);
      const auto source = folder.take();
      check(plan_ollama(source, ""), *source);
      break;
    }
    case 1: {
      folder.add("model_config.json", index);
      folder.add("model/model.onnx", onnx);
      const auto source = folder.take();
      check(plan_olive(source), *source);
      break;
    }
    case 2: {
      folder.add("manifest.json", index);
      folder.add("cpu/model.onnx", onnx);
      folder.add("net/component.json", index);
      folder.add("net/cpu/model.onnx", onnx);
      const auto source = folder.take();
      check(plan_ort_package(source, ""), *source);
      break;
    }
    default: {
      // index.json names this manifest by its digest; the bytes of the input are the manifest.
      const Digest digest = Digest::of(index);
      auto layout = std::make_shared<MemoryFolder>();
      layout->files["oci-layout"] = R"({"imageLayoutVersion":"1.0.0"})";
      layout->files["index.json"] = R"({"schemaVersion":2,"manifests":[{"mediaType":)"
                                    R"("application/vnd.oci.image.manifest.v1+json","digest":")" +
                                    digest.to_string() + R"(","size":)" +
                                    std::to_string(index.size()) + "}]}";
      layout->files["blobs/sha256/" + digest.hex()] = index;
      layout->files["blobs/sha256/" + Digest::of(gguf).hex()] = gguf;
      SystemFileSystem scratch;
      const auto plan = plan_oci_layout(scratch, layout, "folder", "");
      check(plan, *SourceFolder::of(scratch, "folder", {VirtualFile{"x", 1, {}, std::nullopt}}));
      break;
    }
  }
}

}  // namespace
}  // namespace skerry::registry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) {
    skerry::registry::plan_any(data, size);
  }
  return 0;
}
