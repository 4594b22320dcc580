#include "file_hash.hpp"

#include <algorithm>

namespace skerry::registry {
namespace {

constexpr std::size_t kQueue = 8;

Result<std::shared_ptr<Buffer>> read_chunk(File& file, std::uint64_t offset, std::size_t length) {
  auto buffer = std::make_shared<Buffer>(length);
  const auto count = file.read_at(offset, buffer->space());
  if (!count) {
    return count.error();
  }
  if (*count != length) {
    return Error{
        Error::Code::kSizeMismatch,
        "the file ended at byte " + std::to_string(offset + *count) + ", it was longer before"};
  }
  buffer->set_size(length);
  return buffer;
}

}  // namespace

Result<HashedFile> hash_open_file(File& file,
                                  std::uint64_t size,
                                  std::uint32_t chunk_size,
                                  const OnChunk& on_chunk) {
  if (auto ok = check_chunking(size, chunk_size); !ok) {
    return ok.error();
  }
  const auto count = chunk_count(size, chunk_size);
  std::vector<Digest> chunks;
  chunks.reserve(count);
  Sha256 whole;
  // The first chunk's digest is the whole's where there is only one: no second thread is needed.
  std::unique_ptr<BufferWorker> worker;
  if (count > 1) {
    worker = std::make_unique<BufferWorker>(
        kQueue, [&whole](std::uint64_t, const Buffer& buffer) -> Result<void> {
          whole.update(buffer.view());
          return {};
        });
  }
  for (std::uint64_t offset = 0; offset < size; offset += chunk_size) {
    auto buffer = read_chunk(file, offset, std::min<std::uint64_t>(chunk_size, size - offset));
    if (!buffer) {
      return std::move(buffer).error();
    }
    if (worker) {
      if (auto ok = worker->push(offset, *buffer); !ok) {
        return ok.error();
      }
    }
    chunks.push_back(Digest::of((*buffer)->view()));
    if (on_chunk) {
      if (auto ok = on_chunk(offset, *buffer); !ok) {
        return ok.error();
      }
    }
  }
  Digest digest = chunks.front();
  if (worker) {
    if (auto ok = worker->drain(); !ok) {
      return ok.error();
    }
    digest = whole.finish();
  }
  auto index = ChunkIndex::from_digests(std::move(chunks), size, chunk_size);
  if (!index) {
    return std::move(index).error();
  }
  return HashedFile{digest, std::move(*index)};
}

Result<Digest> digest_of_file(File& file, std::uint64_t size) {
  Sha256 hash;
  Buffer buffer{kDefaultChunkSize};
  for (std::uint64_t offset = 0; offset < size;) {
    const auto wanted = std::min<std::uint64_t>(buffer.space().size(), size - offset);
    const auto count = file.read_at(offset, buffer.space().first(wanted));
    if (!count) {
      return count.error();
    }
    if (*count != wanted) {
      return Error{Error::Code::kSizeMismatch,
                   "the file ended at byte " + std::to_string(offset + *count)};
    }
    hash.update(buffer.space().first(wanted));
    offset += wanted;
  }
  return hash.finish();
}

Result<HashedFile> hash_file(FileSystem& fs,
                             const std::filesystem::path& path,
                             std::uint32_t chunk_size) {
  auto file = fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument, path.string() + " is a directory"};
  }
  auto hashed = hash_open_file(**file, status->size, chunk_size);
  if (!hashed) {
    return hashed.error().with_context("hashing " + path.string());
  }
  return hashed;
}

}  // namespace skerry::registry
