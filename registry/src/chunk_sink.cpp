#include "skerry/registry/chunk_sink.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "buffer_worker.hpp"

namespace skerry::registry {
namespace {

// So many wrong chunks are no accident on the line: stop the source.
constexpr std::size_t kMaxRejected = 4;

}  // namespace

struct ChunkSink::Impl {
  BlobIngest& ingest;
  mutable std::mutex mutex;
  std::vector<std::uint64_t> rejected;
  std::optional<Error> first_rejection;
  // Where the ingest keeps a copy of each chunk that is queued or being checked.
  std::map<std::uint64_t, std::size_t> sheltered;
  std::uint64_t position = 0;
  std::shared_ptr<Buffer> partial;  // of the chunk that holds `position`
  BufferPool pool;
  BufferWorker worker;  // last: its threads use the above

  Impl(BlobIngest& target, std::size_t queue_chunks, unsigned threads)
      : ingest(target),
        pool(std::min<std::uint64_t>(target.index().chunk_size(), target.index().size())),
        worker(
            std::max<std::size_t>(queue_chunks, 1),
            [this](auto items) { return store(items); },
            threads == 0 ? hashing_threads() : threads) {}

  Result<void> store(std::span<const BufferWorker::Item> items) {
    std::vector<ChunkIndex::Piece> pieces;
    for (const auto& item : items) {
      pieces.push_back({item.position, item.buffer->view()});
    }
    const auto results = ingest.write_chunks(pieces);
    for (const auto& piece : pieces) {
      leave(piece.chunk);
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i]) {
        continue;
      }
      if (results[i].error().code() != Error::Code::kDigestMismatch) {
        return results[i];
      }
      const std::lock_guard lock{mutex};
      rejected.push_back(pieces[i].chunk);
      if (!first_rejection) {
        first_rejection = results[i].error();
      }
      if (rejected.size() >= kMaxRejected) {
        return results[i];
      }
    }
    return {};
  }

  Result<void> queue(std::uint64_t chunk) {
    const auto place = ingest.shelter(partial->view());
    {
      const std::lock_guard lock{mutex};
      const auto [at, added] = sheltered.emplace(chunk, place);
      if (!added) {
        ingest.release(std::exchange(at->second, place));
      }
    }
    return worker.push(chunk, std::move(partial));
  }

  void leave(std::uint64_t chunk) {
    const std::lock_guard lock{mutex};
    if (const auto place = sheltered.extract(chunk); !place.empty()) {
      ingest.release(place.mapped());
    }
  }

  [[nodiscard]] std::uint64_t chunk_size() const { return ingest.index().chunk_size(); }

  // Bytes of the current chunk that are still to come.
  [[nodiscard]] std::size_t take(ByteView bytes) {
    const auto length = ingest.index().length_of(position / chunk_size());
    if (!partial) {
      partial = pool.take();
    }
    const auto count = std::min<std::size_t>(bytes.size(), length - partial->size());
    std::memcpy(partial->space().data() + partial->size(), bytes.data(), count);
    partial->set_size(partial->size() + count);
    position += count;
    return count;
  }

  [[nodiscard]] bool chunk_complete() const {
    return partial && partial->size() == ingest.index().length_of((position - 1) / chunk_size());
  }
};

ChunkSink::ChunkSink(BlobIngest& ingest, std::size_t queue_chunks, unsigned threads)
    : impl_(std::make_unique<Impl>(ingest, queue_chunks, threads)) {}

ChunkSink::~ChunkSink() = default;

Result<void> ChunkSink::seek(std::uint64_t offset) {
  if (impl_->partial) {
    return Error{Error::Code::kFailedPrecondition,
                 "the chunk at byte " + std::to_string(impl_->position) + " is only partly there"};
  }
  if (offset % impl_->chunk_size() != 0 || offset >= impl_->ingest.index().size()) {
    return Error{Error::Code::kInvalidArgument,
                 "byte " + std::to_string(offset) + " is not the start of a chunk"};
  }
  impl_->position = offset;
  return {};
}

Result<void> ChunkSink::write(ByteView bytes) {
  if (bytes.size() > impl_->ingest.index().size() - impl_->position) {
    return Error{Error::Code::kInvalidArgument,
                 "more bytes than the blob has: " + std::to_string(bytes.size()) + " at byte " +
                     std::to_string(impl_->position)};
  }
  while (!bytes.empty()) {
    bytes = bytes.subspan(impl_->take(bytes));
    if (impl_->chunk_complete()) {
      const auto chunk = (impl_->position - 1) / impl_->chunk_size();
      if (auto ok = impl_->queue(chunk); !ok) {
        return ok;
      }
    }
  }
  return {};
}

Result<void> ChunkSink::write_at(std::uint64_t offset, ByteView bytes) {
  if (offset != impl_->position) {
    if (auto ok = seek(offset); !ok) {
      return ok;
    }
  }
  return write(bytes);
}

Result<void> ChunkSink::flush() {
  if (auto ok = impl_->worker.drain(); !ok) {
    return ok;
  }
  const std::lock_guard lock{impl_->mutex};
  if (impl_->first_rejection) {
    return *impl_->first_rejection;
  }
  if (impl_->partial) {
    return Error{Error::Code::kFailedPrecondition,
                 "the stream ended inside a chunk, at byte " + std::to_string(impl_->position)};
  }
  return {};
}

std::vector<std::uint64_t> ChunkSink::rejected() const {
  const std::lock_guard lock{impl_->mutex};
  return impl_->rejected;
}

void ChunkSink::reset() {
  impl_->worker.reset();
  impl_->partial.reset();
  impl_->position = 0;
  const std::lock_guard lock{impl_->mutex};
  for (const auto& [chunk, place] : impl_->sheltered) {
    impl_->ingest.release(place);
  }
  impl_->sheltered.clear();
  impl_->rejected.clear();
  impl_->first_rejection.reset();
}

}  // namespace skerry::registry
