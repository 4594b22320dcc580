#pragma once

// EnrolmentService: the only call without a client certificate. Every attempt is audited; a flood
// of them is turned away before it reaches the store or the audit log.

#include <mutex>

#include "skerry/fleet/v1/device.grpc.pb.h"

#include "service_context.hpp"

namespace skerry::controller {

class EnrolmentServiceImpl final : public fleet::v1::EnrolmentService::CallbackService {
 public:
  explicit EnrolmentServiceImpl(ServiceContext& context) : context_(context) {}
  grpc::ServerUnaryReactor* Enroll(grpc::CallbackServerContext* call,
                                   const fleet::v1::EnrollRequest* request,
                                   fleet::v1::EnrollResponse* response) override;

 private:
  Result<fleet::v1::EnrollResponse> enroll(const fleet::v1::EnrollRequest& request);
  bool admit();

  ServiceContext& context_;
  std::mutex mutex_;
  BootTime refilled_{};
  double allowance_ = kBurst;
  static constexpr double kBurst = 256;
  static constexpr double kPerSecond = 32;
};

}  // namespace skerry::controller
