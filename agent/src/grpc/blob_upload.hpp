#pragma once

// One blob on its way from `skerry model import` into the registry: the chunk index first, then the
// chunks in order, each checked and written on a transfer thread before the next is read, so that
// the disk sets the client's pace. Private to ImportsGrpc.

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <grpcpp/support/server_callback.h>

#include "skerry/admin/v1/imports.pb.h"
#include "skerry/agent/model_imports.hpp"

namespace skerry::agent {

class BlobUpload final : public grpc::ServerReadReactor<skerry::admin::v1::PutBlobRequest> {
 public:
  // gRPC owns it from `begin` or `refuse` to OnDone; one of them must be called, once.
  BlobUpload(ModelImports& imports, skerry::admin::v1::PutBlobResponse* response)
      : imports_(imports), response_(response) {}

  // Reads and writes on `worker` until the client ends or a chunk is wrong.
  void begin(boost::asio::any_io_executor worker);
  void refuse(const grpc::Status& status) { Finish(status); }

  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void step(bool ok);
  Result<void> take();
  Result<void> finish();

  ModelImports& imports_;
  skerry::admin::v1::PutBlobResponse* response_;
  boost::asio::any_io_executor worker_;
  skerry::admin::v1::PutBlobRequest request_;
  std::unique_ptr<registry::BlobIngest> ingest_;
  bool started_ = false;
  std::uint64_t next_ = 0;
};

}  // namespace skerry::agent
