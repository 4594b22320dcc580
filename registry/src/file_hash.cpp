#include "file_hash.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <numeric>
#include <optional>

#include "skerry/common/sha256_lanes.hpp"

#include "on_threads.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kQueue = 8;

Result<void> read_chunk(File& file, std::uint64_t offset, std::size_t length, Buffer& buffer) {
  const auto count = file.read_at(offset, buffer.space().first(length));
  if (!count) {
    return count.error();
  }
  if (*count != length) {
    return Error{
        Error::Code::kSizeMismatch,
        "the file ended at byte " + std::to_string(offset + *count) + ", it was longer before"};
  }
  buffer.set_size(length);
  return {};
}

// Two at a time, since two are hashed at once.
Result<void> check_pair(File& file,
                        const ChunkIndex& index,
                        std::span<const std::uint64_t> pair,
                        std::array<Buffer, 2>& buffers,
                        const OnChunk& good,
                        const OnBadChunk& bad) {
  std::vector<ChunkIndex::Piece> pieces;
  for (std::size_t i = 0; i < pair.size(); ++i) {
    const auto chunk = pair[i];
    auto ok = read_chunk(file, index.offset_of(chunk), index.length_of(chunk), buffers[i]);
    if (ok) {
      pieces.push_back({chunk, buffers[i].view()});
      continue;
    }
    // A sealed file says itself that a chunk is wrong.
    ok = ok.error().code() == Error::Code::kDigestMismatch ? bad(chunk, ok.error()) : ok;
    if (!ok) {
      return ok;
    }
  }
  const auto results = index.verify(pieces);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    auto ok = !results[i] ? bad(pieces[i].chunk, results[i].error())
              : good      ? good(index.offset_of(pieces[i].chunk), pieces[i].bytes)
                          : Result<void>{};
    if (!ok) {
      return ok;
    }
  }
  return {};
}

}  // namespace

Result<void> check_chunks(File& file,
                          const ChunkIndex& index,
                          std::span<const std::uint64_t> chunks,
                          const OnChunk& good,
                          const OnBadChunk& bad) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> first_error;
  const auto run = [&] {
    const auto capacity = std::min<std::uint64_t>(index.chunk_size(), index.size());
    std::array<Buffer, 2> buffers{Buffer{capacity}, Buffer{capacity}};
    for (auto at = next.fetch_add(2); at < chunks.size(); at = next.fetch_add(2)) {
      const auto pair = chunks.subspan(at, std::min<std::size_t>(2, chunks.size() - at));
      if (auto ok = check_pair(file, index, pair, buffers, good, bad); !ok) {
        const std::lock_guard lock{mutex};
        if (!first_error) {
          first_error = ok.error();
        }
        next.store(chunks.size());
      }
    }
  };
  const auto at_once = std::min<std::size_t>(hashing_threads(), chunks.size() / 2);
  on_threads(std::max<std::size_t>(1, at_once), [&run](std::size_t) { run(); });
  if (first_error) {
    return *first_error;
  }
  return {};
}

Result<void> check_file(File& file, const ChunkIndex& index, const OnChunk& on_chunk) {
  std::vector<std::uint64_t> chunks(index.count());
  std::iota(chunks.begin(), chunks.end(), std::uint64_t{0});
  return check_chunks(
      file, index, chunks, on_chunk, [](std::uint64_t, const Error& why) -> Result<void> {
        return why;
      });
}

// This thread reads and hashes: the whole is one stream that cannot be split. Where two lanes cost
// no more than one it has the chunks' digests too, otherwise the other threads compute them.
Result<HashedFile> hash_open_file(File& file,
                                  std::uint64_t size,
                                  std::uint32_t chunk_size,
                                  const OnChunk& on_chunk) {
  if (auto ok = check_chunking(size, chunk_size); !ok) {
    return ok.error();
  }
  std::vector<Digest> chunks(chunk_count(size, chunk_size));
  const bool lanes = sha256_lanes_pay();
  PiecewiseSha256 pieces;
  Sha256 whole;
  BufferPool pool{std::min<std::uint64_t>(chunk_size, size)};
  const auto take = [&](std::span<const BufferWorker::Item> items) -> Result<void> {
    for (const auto& [offset, buffer] : items) {
      if (!lanes) {
        chunks[offset / chunk_size] = Digest::of(buffer->view());
      }
      auto ok = on_chunk ? on_chunk(offset, buffer->view()) : Result<void>{};
      if (!ok) {
        return ok;
      }
    }
    return {};
  };
  BufferWorker worker{kQueue, take, !on_chunk && lanes ? 0 : hashing_threads()};
  for (std::uint64_t offset = 0; offset < size; offset += chunk_size) {
    const auto buffer = pool.take();
    const auto length = std::min<std::uint64_t>(chunk_size, size - offset);
    if (auto ok = read_chunk(file, offset, length, *buffer); !ok) {
      return ok.error();
    }
    if (auto ok = worker.push(offset, buffer); !ok) {
      return ok.error();
    }
    if (lanes) {
      chunks[offset / chunk_size] = pieces.add(buffer->view());
    } else {
      whole.update(buffer->view());
    }
  }
  if (auto ok = worker.drain(); !ok) {
    return ok.error();
  }
  const Digest digest = lanes ? pieces.finish() : whole.finish();
  auto index = ChunkIndex::from_digests(std::move(chunks), size, chunk_size);
  if (!index) {
    return std::move(index).error();
  }
  return HashedFile{digest, std::move(*index)};
}

Result<Digest> digest_of_file(File& file,
                              std::uint64_t size,
                              const std::function<Result<void>(std::size_t)>& before_read) {
  if (before_read) {
    file.drop_cached();
  }
  Sha256 hash;
  Buffer buffer{kDefaultChunkSize};
  for (std::uint64_t offset = 0; offset < size;) {
    const auto wanted = std::min<std::uint64_t>(buffer.space().size(), size - offset);
    if (before_read) {
      if (auto ok = before_read(wanted); !ok) {
        return ok.error();
      }
    }
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
  if (before_read) {
    file.drop_cached();
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
  auto hashed = hash_file(**file, chunk_size);
  if (!hashed) {
    return hashed.error().with_context("hashing " + path.string());
  }
  return hashed;
}

Result<HashedFile> hash_file(File& file, std::uint32_t chunk_size) {
  const auto status = file.status();
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument, "it is a directory"};
  }
  return hash_open_file(file, status->size, chunk_size);
}

}  // namespace skerry::registry
