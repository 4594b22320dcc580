#pragma once

// A delta: what turns one file that a device holds (the base) into another (the target). It is an
// untrusted hint: what comes out is checked against the signed chunk index, or the digest, like
// bytes from anywhere. GGUF and safetensors are compared tensor by tensor and new weights are
// predicted from old ones; everything else in content-defined chunks (docs/formats/delta.md, ADR
// 0085). Made by the controller and `skerry delta`, read by the agent.
//
// All calls block. Memory is bounded by the segment size and the number of threads, not by the
// files.

#include <cstdint>
#include <memory>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"

namespace skerry::registry {

struct DeltaHeader {
  Digest base;
  std::uint64_t base_size = 0;
  Digest target;
  std::uint64_t target_size = 0;
};

struct DeltaSummary {
  DeltaHeader header;
  std::uint64_t delta_bytes = 0;
  std::uint64_t segments = 0;
  // Of the target, by how it comes about: copied from the base, predicted from it, packed (with the
  // base as a dictionary where that helps), stored as it is. Together they are the target.
  std::uint64_t copied_bytes = 0;
  std::uint64_t predicted_bytes = 0;
  std::uint64_t packed_bytes = 0;
  std::uint64_t stored_bytes = 0;
};

struct DeltaOptions {
  unsigned threads = 1;
  // A larger delta is not worth having: kFailedPrecondition as soon as that is known. 0: the
  // target's size.
  std::uint64_t largest = 0;
  // Optional; must outlive the call.
  const CancelFlag* cancel = nullptr;
};

// Writes to `out` (an empty file) what turns `base` into `target`. The digests in `header` are
// taken as they are. Every segment is decoded again and compared before it is written.
// kFailedPrecondition if the full file is smaller; kCancelled; kIo, kNoSpace. `out` is not synced.
Result<DeltaSummary> make_delta(File& base,
                                File& target,
                                const DeltaHeader& header,
                                File& out,
                                const DeltaOptions& options = {});

// What a delta file says of itself, without its base. As DeltaReader::open.
Result<DeltaSummary> inspect_delta(File& delta);

// A delta open for reading, beside its base.
class DeltaReader {
 public:
  // Reads and checks header and directory. kParse if it is no delta or damaged, kTooLarge beyond a
  // limit of the format, kFailedPrecondition if `base` has another size than the one it was made
  // from. The files must outlive the reader.
  static Result<std::unique_ptr<DeltaReader>> open(File& delta, File& base);
  ~DeltaReader();
  DeltaReader(const DeltaReader&) = delete;
  DeltaReader& operator=(const DeltaReader&) = delete;

  [[nodiscard]] const DeltaSummary& summary() const;

  // Writes `length` bytes of the target from `offset` on to `sink`, in order; segments are decoded
  // by up to `threads` threads at once. kInvalidArgument beyond the target, kParse for a damaged
  // segment, kCancelled, or the sink's error. Bytes that parse are not thereby right: check them.
  // Thread-safe.
  Result<void> read(std::uint64_t offset,
                    std::uint64_t length,
                    ByteSink& sink,
                    const CancelFlag& cancel,
                    unsigned threads = 1) const;

 private:
  struct Impl;
  explicit DeltaReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Serves the target of one delta, so that a fetch takes it like any other source: verified chunk by
// chunk, resumed, given up for the next source.
class DeltaSource final : public BlobSource {
 public:
  // The reader must outlive the source.
  DeltaSource(const DeltaReader& reader, unsigned threads) : reader_(reader), threads_(threads) {}
  [[nodiscard]] std::string name() const override { return "delta"; }
  [[nodiscard]] SourceReach reach() const override { return SourceReach::kSite; }
  Result<void> read(const BlobRange& range, ByteSink& sink, const CancelFlag& cancel) override;

 private:
  const DeltaReader& reader_;
  unsigned threads_;
};

}  // namespace skerry::registry
