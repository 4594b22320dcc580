#include "blob_upload.hpp"

#include <boost/asio/post.hpp>

#include "status.hpp"

namespace skerry::agent {

void BlobUpload::begin(boost::asio::any_io_executor worker) {
  worker_ = std::move(worker);
  StartRead(&request_);
}

void BlobUpload::OnReadDone(bool ok) {
  boost::asio::post(worker_, [this, ok] { step(ok); });
}

void BlobUpload::step(bool ok) {
  Result<void> done = ok ? take() : finish();
  if (done && ok && !response_->held()) {
    StartRead(&request_);
    return;
  }
  if (!done && ingest_) {
    // Half of a blob that nobody finishes is of no use: the source lies on this machine.
    (void)ingest_->discard();
  }
  ingest_.reset();
  Finish(done ? grpc::Status::OK : to_status(done.error()));
}

Result<void> BlobUpload::take() {
  if (request_.has_header() != !started_) {
    return Error{Error::Code::kInvalidArgument,
                 "the header comes first, once, and then the chunks"};
  }
  if (!started_) {
    const auto& header = request_.header();
    const auto digest = Digest::parse(header.digest());
    if (!digest) {
      return digest.error();
    }
    started_ = true;
    const registry::WantedBlob blob{*digest, header.size(), header.chunk_size(), Digest{}};
    auto ingest = imports_.begin_blob(blob, as_bytes(header.chunk_index()));
    if (!ingest) {
      return ingest.error();
    }
    ingest_ = *std::move(ingest);
    response_->set_held(ingest_ == nullptr);
    return {};
  }
  if (next_ >= ingest_->index().count()) {
    return Error{Error::Code::kSizeMismatch, "more chunks than the index has"};
  }
  return ingest_->write_chunk(next_++, as_bytes(request_.chunk()));
}

Result<void> BlobUpload::finish() {
  if (!ingest_) {
    return Error{Error::Code::kInvalidArgument, "no header came"};
  }
  return ingest_->finish();
}

}  // namespace skerry::agent
