#include "chunk_inbox.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "skerry/security/chunked_encryption.hpp"

#include "buffer_worker.hpp"
#include "sealed_file.hpp"

namespace skerry::registry {
namespace {

// More than any number of threads and queues keeps waiting; a larger file is not ours.
constexpr std::uint64_t kMaxPlaces = 1024;

std::uint64_t place_size_for(std::uint64_t chunk_size, const StoreKey* key) {
  return key == nullptr ? chunk_size : security::ChunkedMessage::sealed_size(chunk_size);
}

}  // namespace

ChunkInbox::ChunkInbox(FileSystem& fs,
                       std::filesystem::path path,
                       std::uint64_t chunk_size,
                       const StoreKey* key)
    : fs_(fs), path_(std::move(path)), place_size_(place_size_for(chunk_size, key)), key_(key) {}

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
  const auto written = [&]() -> Result<void> {
    if (key_ == nullptr) {
      return file_->write_at(place * place_size_, bytes);
    }
    const auto sealed = security::seal_message(key_->bytes(), as_bytes(kSealedInboxContext), bytes);
    return sealed ? file_->write_at(place * place_size_, *sealed) : sealed.error();
  }();
  if (!written) {
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

namespace {

// Finds the missing chunks among the places of an inbox, by their digests.
class InboxReader {
 public:
  InboxReader(const ChunkIndex& index,
              const StoreKey* key,
              const std::vector<std::uint64_t>& missing,
              const TakeChunk& take)
      : index_(index), key_(key), take_(take) {
    for (const auto chunk : missing) {
      wanted_.emplace(index.chunk(chunk), chunk);
      if (index.length_of(chunk) < index.chunk_size()) {
        shorter_ = index.length_of(chunk);
      }
    }
  }

  Result<void> offer_place(ByteView place) {
    if (auto ok = offer_length(place, index_.chunk_size()); !ok) {
      return ok;
    }
    return shorter_ ? offer_length(place, *shorter_) : Result<void>{};
  }

 private:
  Result<void> offer(ByteView bytes) {
    const auto [first, last] = wanted_.equal_range(Digest::of(bytes));
    for (auto found = first; found != last; ++found) {
      if (auto ok = take_(found->second, bytes); !ok) {
        return ok;
      }
    }
    wanted_.erase(first, last);
    return {};
  }

  // The chunk of this length at the head of a place; of a sealed one only what is authentic.
  Result<void> offer_length(ByteView place, std::uint64_t length) {
    if (key_ == nullptr) {
      return place.size() < length ? Result<void>{} : offer(place.first(length));
    }
    const auto sealed = security::ChunkedMessage::sealed_size(length);
    if (place.size() < sealed) {
      return {};
    }
    const auto plain =
        security::open_message(key_->bytes(), as_bytes(kSealedInboxContext), place.first(sealed));
    return plain ? offer(*plain) : Result<void>{};
  }

  const ChunkIndex& index_;
  const StoreKey* key_;
  const TakeChunk& take_;
  std::multimap<Digest, std::uint64_t> wanted_;
  // Only the last chunk may be shorter: its place holds the rest of an older chunk behind it.
  std::optional<std::uint32_t> shorter_;
};

}  // namespace

Result<void> empty_inbox(FileSystem& fs,
                         const std::filesystem::path& path,
                         const ChunkIndex& index,
                         const StoreKey* key,
                         const std::vector<std::uint64_t>& missing,
                         const TakeChunk& take) {
  auto file = missing.empty() ? Result<std::unique_ptr<File>>{std::unique_ptr<File>{}}
                              : fs.open(path, OpenMode::kRead);
  if (!file || !*file) {
    return {};
  }
  const auto place_size = place_size_for(index.chunk_size(), key);
  const auto status = (*file)->status();
  if (!status || status->size > kMaxPlaces * place_size) {
    return {};
  }
  InboxReader reader{index, key, missing, take};
  Buffer buffer{place_size};
  for (std::uint64_t at = 0; at < status->size; at += place_size) {
    const auto count = (*file)->read_at(at, buffer.space().first(place_size));
    if (!count) {
      return {};
    }
    if (auto ok = reader.offer_place(buffer.space().first(*count)); !ok) {
      return ok;
    }
  }
  return {};
}

}  // namespace skerry::registry
