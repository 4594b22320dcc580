#include "chunk_inbox.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "buffer_worker.hpp"

namespace skerry::registry {
namespace {

// More than any number of threads and queues keeps waiting; a larger file is not ours.
constexpr std::uint64_t kMaxPlaces = 1024;

}  // namespace

std::size_t ChunkInbox::put(ByteView bytes) {
  std::size_t place = 0;
  {
    const std::lock_guard lock{mutex_};
    if (!file_ && !failed_) {
      auto file = fs_.open(path_, OpenMode::kCreate, 0600);
      failed_ = !file;
      if (file) {
        file_ = std::move(*file);
      }
    }
    if (failed_ || (free_.empty() && places_ == kMaxPlaces)) {
      return kNoPlace;
    }
    if (free_.empty()) {
      place = places_++;
    } else {
      // The lowest: few places are used again and again, and the file stays small.
      place = *free_.begin();
      free_.erase(free_.begin());
    }
  }
  if (!file_->write_at(place * place_size_, bytes)) {
    const std::lock_guard lock{mutex_};
    failed_ = true;
    return kNoPlace;
  }
  return place;
}

void ChunkInbox::release(std::size_t place) {
  if (place != kNoPlace) {
    const std::lock_guard lock{mutex_};
    free_.insert(place);
  }
}

Result<void> empty_inbox(FileSystem& fs,
                         const std::filesystem::path& path,
                         const ChunkIndex& index,
                         const std::vector<std::uint64_t>& missing,
                         const TakeChunk& take) {
  auto file = missing.empty() ? Result<std::unique_ptr<File>>{std::unique_ptr<File>{}}
                              : fs.open(path, OpenMode::kRead);
  if (!file || !*file) {
    return {};
  }
  const auto status = (*file)->status();
  if (!status || status->size > kMaxPlaces * index.chunk_size()) {
    return {};
  }
  std::multimap<Digest, std::uint64_t> wanted;
  // Only the last chunk may be shorter: its place holds the rest of an older chunk behind it.
  std::optional<std::uint32_t> shorter;
  for (const auto chunk : missing) {
    wanted.emplace(index.chunk(chunk), chunk);
    if (index.length_of(chunk) < index.chunk_size()) {
      shorter = index.length_of(chunk);
    }
  }
  const auto offer = [&](ByteView bytes) -> Result<void> {
    const auto [first, last] = wanted.equal_range(Digest::of(bytes));
    for (auto found = first; found != last; ++found) {
      if (auto ok = take(found->second, bytes); !ok) {
        return ok;
      }
    }
    wanted.erase(first, last);
    return {};
  };
  Buffer buffer{index.chunk_size()};
  for (std::uint64_t at = 0; at < status->size; at += index.chunk_size()) {
    const auto count = (*file)->read_at(at, buffer.space());
    if (!count) {
      return {};
    }
    const ByteView bytes = buffer.space().first(*count);
    if (auto ok = offer(bytes); !ok) {
      return ok;
    }
    if (shorter && bytes.size() > *shorter) {
      if (auto ok = offer(bytes.first(*shorter)); !ok) {
        return ok;
      }
    }
  }
  return {};
}

}  // namespace skerry::registry
