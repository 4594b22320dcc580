#pragma once

// GetBlob: ranges of a blob as BlobChunk messages that are framed by hand around slices of the
// blob's mapping, so that the payload is not copied through protobuf on its way to the wire.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "skerry/controller/blob_vault.hpp"
#include "skerry/fleet/v1/device.pb.h"

namespace skerry::controller {

struct BlobRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// The ranges to send, the whole blob if none is asked for. kInvalidArgument for a range that is
// empty or reaches beyond the blob, kTooLarge for more than 65,536 ranges.
Result<std::vector<BlobRange>> plan_ranges(const fleet::v1::GetBlobRequest& request,
                                           std::uint64_t size);

// One BlobChunk message as bytes: field 1 the offset, field 2 the payload, which is `blob`'s own
// memory and holds it alive until gRPC has sent it.
grpc::ByteBuffer frame_chunk(const std::shared_ptr<const MappedBlob>& blob,
                             std::uint64_t offset,
                             std::size_t length);

// Deletes itself when the call is over.
class BlobWriter final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit BlobWriter(std::size_t message_size) : message_size_(message_size) {}
  // One of these, once. Ends with PERMISSION_DENIED when `cut` is set.
  void begin(std::shared_ptr<const MappedBlob> blob,
             std::vector<BlobRange> ranges,
             std::shared_ptr<const std::atomic<bool>> cut);
  void refuse(const grpc::Status& status) { Finish(status); }

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void next();

  std::shared_ptr<const MappedBlob> blob_;
  std::vector<BlobRange> ranges_;
  std::shared_ptr<const std::atomic<bool>> cut_;
  std::size_t message_size_;
  std::size_t index_ = 0;
  std::uint64_t sent_ = 0;
  grpc::ByteBuffer message_;
};

}  // namespace skerry::controller
