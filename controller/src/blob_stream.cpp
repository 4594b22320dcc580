#include "blob_stream.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <grpcpp/support/slice.h>

namespace skerry::controller {
namespace {

constexpr int kMaxRanges = 65'536;
// What a device that was cut gets to take the message on its way and the reason.
constexpr std::chrono::seconds kCutGrace{1};

std::size_t put_varint(std::uint8_t* out, std::uint64_t value) {
  std::size_t n = 0;
  while (value >= 0x80U) {
    out[n++] = static_cast<std::uint8_t>(value) | 0x80U;
    value >>= 7U;
  }
  out[n++] = static_cast<std::uint8_t>(value);
  return n;
}

void release(void* holder) {
  delete static_cast<std::shared_ptr<const MappedBlob>*>(holder);
}

}  // namespace

Result<std::vector<BlobRange>> plan_ranges(const fleet::v1::GetBlobRequest& request,
                                           std::uint64_t size) {
  if (request.ranges_size() > kMaxRanges) {
    return Error{Error::Code::kTooLarge, "a request has at most 65536 ranges"};
  }
  if (request.ranges_size() == 0) {
    return std::vector<BlobRange>{{0, size}};
  }
  std::vector<BlobRange> ranges;
  for (const auto& range : request.ranges()) {
    if (range.length() == 0 || range.offset() >= size || range.length() > size - range.offset()) {
      return Error{Error::Code::kInvalidArgument,
                   "the range of " + std::to_string(range.length()) + " bytes at " +
                       std::to_string(range.offset()) + " is not within the blob's " +
                       std::to_string(size) + " bytes"};
    }
    ranges.push_back({range.offset(), range.length()});
  }
  return ranges;
}

grpc::ByteBuffer frame_chunk(const std::shared_ptr<const MappedBlob>& blob,
                             std::uint64_t offset,
                             std::size_t length) {
  std::array<std::uint8_t, 24> header{};
  std::size_t n = 0;
  if (offset != 0) {
    header[n++] = 0x08;  // field 1, varint
    n += put_varint(header.data() + n, offset);
  }
  header[n++] = 0x12;  // field 2, length-delimited
  n += put_varint(header.data() + n, length);
  auto* payload = const_cast<std::uint8_t*>(blob->bytes().data()) + offset;
  const std::array<grpc::Slice, 2> slices{
      grpc::Slice(header.data(), n),
      grpc::Slice(payload, length, release, new std::shared_ptr<const MappedBlob>(blob))};
  return {slices.data(), slices.size()};
}

BlobWriter::BlobWriter(grpc::CallbackServerContext& call,
                       boost::asio::any_io_executor executor,
                       std::size_t message_size)
    : executor_(std::move(executor)), message_size_(message_size) {
  handle_->call = &call;
}

void BlobWriter::begin(std::shared_ptr<const MappedBlob> blob,
                       std::vector<BlobRange> ranges,
                       std::shared_ptr<TransferCut> cut) {
  blob_ = std::move(blob);
  ranges_ = std::move(ranges);
  cut_ = std::move(cut);
  // gRPC takes a status only after the message on its way, which may be never.
  watching_ = cut_->watch([handle = handle_, executor = executor_] {
    auto timer = std::make_shared<boost::asio::steady_timer>(executor, kCutGrace);
    timer->async_wait([handle, timer](const boost::system::error_code&) {
      const std::lock_guard lock{handle->mutex};
      if (handle->call != nullptr) {
        handle->call->TryCancel();
      }
    });
  });
  next();
}

void BlobWriter::OnDone() {
  if (cut_) {
    cut_->forget(watching_);
  }
  {
    const std::lock_guard lock{handle_->mutex};
    handle_->call = nullptr;
  }
  delete this;
}

void BlobWriter::OnWriteDone(bool ok) {
  if (!ok) {
    Finish(grpc::Status::CANCELLED);
    return;
  }
  next();
}

void BlobWriter::next() {
  if (cut_->is_cut()) {
    Finish(grpc::Status{grpc::StatusCode::PERMISSION_DENIED, "this device was revoked"});
    return;
  }
  if (index_ == ranges_.size()) {
    Finish(grpc::Status::OK);
    return;
  }
  const BlobRange& range = ranges_[index_];
  const auto length =
      static_cast<std::size_t>(std::min<std::uint64_t>(message_size_, range.length - sent_));
  message_ = frame_chunk(blob_, range.offset + sent_, length);
  sent_ += length;
  if (sent_ == range.length) {
    sent_ = 0;
    ++index_;
  }
  StartWrite(&message_);
}

}  // namespace skerry::controller
