#pragma once

// GetBlob: ranges of a blob as BlobChunk messages that are framed by hand around slices of the
// blob's mapping, so that the payload is not copied through protobuf on its way to the wire.

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "skerry/controller/blob_vault.hpp"
#include "skerry/fleet/v1/device.pb.h"

#include "transfer_cut.hpp"

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
  // `executor` runs what is left to do when a device that was cut takes nothing.
  BlobWriter(grpc::CallbackServerContext& call,
             boost::asio::any_io_executor executor,
             std::size_t message_size);
  // One of these, once. Ends with PERMISSION_DENIED at the next message when `cut` is cut; a device
  // that takes no message has its call cancelled a second later.
  void begin(std::shared_ptr<const MappedBlob> blob,
             std::vector<BlobRange> ranges,
             std::shared_ptr<TransferCut> cut);
  void refuse(const grpc::Status& status) { Finish(status); }

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  // The call for whoever may outlive it.
  struct Handle {
    std::mutex mutex;
    grpc::CallbackServerContext* call = nullptr;
  };
  void next();

  std::shared_ptr<Handle> handle_ = std::make_shared<Handle>();
  boost::asio::any_io_executor executor_;
  std::shared_ptr<const MappedBlob> blob_;
  std::vector<BlobRange> ranges_;
  std::shared_ptr<TransferCut> cut_;
  std::uint64_t watching_ = 0;
  std::size_t message_size_;
  std::size_t index_ = 0;
  std::uint64_t sent_ = 0;
  grpc::ByteBuffer message_;
};

}  // namespace skerry::controller
