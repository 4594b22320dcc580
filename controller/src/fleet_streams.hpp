#pragma once

// The streaming calls of FleetService: uploads, rollout watching, the audit tail. Each reactor ends
// its call exactly once and lives until gRPC is done with it.

#include <deque>
#include <memory>
#include <string>

#include <boost/asio/strand.hpp>

#include "skerry/fleet/v1/operator.grpc.pb.h"

#include "service_context.hpp"

namespace skerry::controller {

// PushBlob: a header, then data in order. One message is stored before the next is read, so the
// operator waits when the disk is slower than the network.
class BlobReceiver final : public grpc::ServerReadReactor<fleet::v1::PushBlobRequest> {
 public:
  BlobReceiver(ServiceContext& context,
               grpc::CallbackServerContext& call,
               fleet::v1::PushBlobResponse& response);
  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  // On the pool.
  Result<void> take();
  Result<void> begin(const fleet::v1::PushBlobHeader& header);
  Result<void> end();

  ServiceContext& context_;
  grpc::CallbackServerContext& call_;
  fleet::v1::PushBlobResponse& response_;
  fleet::v1::PushBlobRequest message_;
  std::unique_ptr<BlobUpload> upload_;
  Caller caller_;
  Digest digest_;
  std::uint64_t size_ = 0;
  bool begun_ = false;
};

// WatchRollout: the rollout now and after each change, until it ends.
class RolloutWatcher final : public grpc::ServerWriteReactor<fleet::v1::Rollout>,
                             public std::enable_shared_from_this<RolloutWatcher> {
 public:
  static RolloutWatcher* start(ServiceContext& context,
                               grpc::CallbackServerContext& call,
                               std::string rollout_id);
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  RolloutWatcher(ServiceContext& context, std::string rollout_id);

  // On the strand.
  void look();
  void finish(const grpc::Status& status);

  ServiceContext& context_;
  std::string rollout_id_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  std::shared_ptr<RolloutWatcher> self_;
  std::uint64_t subscription_ = 0;
  fleet::v1::Rollout message_;
  std::string last_;
  bool writing_ = false;
  bool again_ = false;
  bool final_ = false;
  bool finished_ = false;
};

// TailAudit: records that are there now, then the end.
class AuditTail final : public grpc::ServerWriteReactor<fleet::v1::ControllerAuditRecord> {
 public:
  AuditTail(ServiceContext& context,
            grpc::CallbackServerContext& call,
            const fleet::v1::TailControllerAuditRequest& request);
  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  Result<void> open(grpc::CallbackServerContext& call,
                    const fleet::v1::TailControllerAuditRequest& request);
  void next();

  ServiceContext& context_;
  std::uint64_t from_ = 0;
  std::uint64_t left_ = 0;
  std::deque<security::AuditEntry> entries_;
  fleet::v1::ControllerAuditRecord message_;
};

}  // namespace skerry::controller
