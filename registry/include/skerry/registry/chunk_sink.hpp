#pragma once

// Turns a stream of bytes into verified chunks: a network thread pushes pieces of any size, worker
// threads (one per core, four at most) hash and write whole chunks, a bounded queue between them
// makes the network wait when the disk is slower. A chunk that is whole is sheltered by the ingest
// before it is queued, so that a kill of the process costs the unfinished one alone. The fetcher
// uses it, and so does the controller's upload handler.

#include <cstdint>
#include <memory>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/blob_store.hpp"

namespace skerry::registry {

class ChunkSink final : public ByteSink {
 public:
  // `ingest` must outlive the sink. At most `queue_chunks` whole chunks wait while as many
  // are hashed and written, by `threads` threads; 0: one per core, four at most.
  explicit ChunkSink(BlobIngest& ingest, std::size_t queue_chunks = 4, unsigned threads = 0);
  // Stops the worker; chunks still queued are dropped (they will be fetched again).
  ~ChunkSink() override;
  ChunkSink(const ChunkSink&) = delete;
  ChunkSink& operator=(const ChunkSink&) = delete;

  // Where the next `write` goes; must be the start of a chunk. kFailedPrecondition inside one.
  Result<void> seek(std::uint64_t offset);

  // Appends at the current position; one thread at a time. Blocks while the queue is full. Returns
  // the worker's first error (kNoSpace …) as soon as it is known. A chunk that fails verification
  // costs that chunk alone and shows in `flush`; only a source that sent several is stopped here.
  Result<void> write(ByteView bytes) override;

  // The same with the position given: kInvalidArgument if `offset` neither continues nor starts a
  // chunk.
  Result<void> write_at(std::uint64_t offset, ByteView bytes);

  // Waits for all queued chunks. kFailedPrecondition if a chunk is only partly there;
  // kDigestMismatch if a chunk failed verification since the last `reset`.
  Result<void> flush();

  // Chunks that failed verification since the last `reset`.
  [[nodiscard]] std::vector<std::uint64_t> rejected() const;
  // Forgets errors, rejected chunks and a partial chunk: the sink can be used again.
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::registry
