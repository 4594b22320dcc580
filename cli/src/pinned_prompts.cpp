#include "skerry/cli/pinned_prompts.hpp"

#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/registry/pinned_prompts.hpp"

namespace skerry::cli {
namespace {

Result<registry::PinnedPrompt> read_prompt_file(FileSystem& fs, const std::filesystem::path& path) {
  auto text = read_file(fs, path, registry::PinnedPromptLimits::kBytes);
  if (!text) {
    return text.error();
  }
  if (text->ends_with('\n')) {
    text->pop_back();
  }
  auto prompt = registry::read_pinned_prompt(path.stem().string(), *text);
  if (!prompt) {
    return prompt.error().with_context(path.string());
  }
  return prompt;
}

Result<std::string> read_prompt_files(FileSystem& fs, const std::vector<std::string>& files) {
  std::vector<registry::PinnedPrompt> prompts;
  for (const std::string& file : files) {
    auto prompt = read_prompt_file(fs, file);
    if (!prompt) {
      return prompt.error();
    }
    prompts.push_back(*std::move(prompt));
  }
  return registry::serialise_pinned_prompts(prompts);
}

// The file and its chunk index among the packed blobs.
Result<registry::ManifestFile> add_prompt_blob(FileSystem& fs,
                                               const std::filesystem::path& folder,
                                               const std::string& bytes) {
  registry::ManifestFile file;
  file.role = registry::FileRole::kConfig;
  file.name = registry::kPinnedPromptsFile;
  file.digest = Digest::of(bytes);
  file.size = bytes.size();
  file.chunk_size = registry::choose_chunk_size(file.size);
  const auto index = registry::ChunkIndex::of_single_chunk(file.digest, file.size, file.chunk_size);
  if (!index) {
    return index.error();
  }
  file.chunks = index->digest();
  const std::filesystem::path blobs = folder / "blobs" / "sha256";
  if (auto made = fs.create_directories(blobs, 0755); !made) {
    return made.error();
  }
  if (auto put = write_file_atomic(fs, blobs / file.digest.hex(), bytes, 0644); !put) {
    return put.error();
  }
  const Bytes text = index->serialise();
  if (auto put = write_file_atomic(fs, blobs / file.chunks.hex(), as_text(text), 0644); !put) {
    return put.error();
  }
  return file;
}

}  // namespace

Result<void> pin_prompts(FileSystem& fs,
                         const std::filesystem::path& path,
                         const std::vector<std::string>& files) {
  if (files.empty()) {
    return {};
  }
  const auto status = fs.status(path);
  if (!status) {
    return status.error();
  }
  const std::filesystem::path where = status->is_directory ? path / "manifest.json" : path;
  const auto bytes = read_file(fs, where, registry::ManifestLimits::kBytes);
  if (!bytes) {
    return bytes.error();
  }
  auto manifest = registry::Manifest::parse(*bytes);
  if (!manifest) {
    return manifest.error().with_context(where.string());
  }
  const auto prompts = read_prompt_files(fs, files);
  if (!prompts) {
    return prompts.error();
  }
  auto file = add_prompt_blob(fs, where.parent_path(), *prompts);
  if (!file) {
    return file.error();
  }
  std::erase_if(manifest->shared,
                [](const auto& one) { return one.name == registry::kPinnedPromptsFile; });
  manifest->shared.push_back(*std::move(file));
  manifest->annotations.insert_or_assign(std::string{registry::kPinnedPromptsKey},
                                         std::string{registry::kPinnedPromptsFile});
  const auto pinned = manifest->serialise();
  if (!pinned) {
    return pinned.error().with_context(where.string());
  }
  return write_file_atomic(fs, where, *pinned, 0644);
}

}  // namespace skerry::cli
