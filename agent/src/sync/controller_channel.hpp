#pragma once

// The gRPC channels to the controller and what is fetched over them: metadata and blobs as a
// `ModelSource`. Blob payloads are taken from gRPC's buffers as they are (blob_frame.hpp).

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "skerry/agent/config.hpp"
#include "skerry/agent/model_source.hpp"
#include "skerry/fleet/v1/device.grpc.pb.h"

#include "identity.hpp"
#include "server_trust.hpp"

namespace skerry::agent::sync {

// mTLS with the device's certificate, to a server that `trust` accepts.
std::shared_ptr<grpc::Channel> make_device_channel(const ControllerConfig& controller,
                                                   const DeviceIdentity& identity,
                                                   const std::string& key_pem,
                                                   std::shared_ptr<const ServerTrust> trust);

// For enrolment: the server is known by `ca_pem`, or by the pin of a key in its chain.
Result<std::shared_ptr<grpc::Channel>> make_enrolment_channel(const ControllerConfig& controller,
                                                              const std::string& ca_pem);

class ControllerSource final : public ModelSource,
                               private security::tuf::Fetcher,
                               private registry::BlobSource {
 public:
  explicit ControllerSource(std::shared_ptr<grpc::Channel> channel);

  [[nodiscard]] std::string name() const override { return "controller"; }
  security::tuf::Fetcher& metadata() override { return *this; }
  registry::BlobSource& blobs() override { return *this; }
  Result<DeltaOffer> find_delta(const Digest& target, std::span<const Digest> held) override;

  // Ends every running call and refuses further ones. Thread-safe.
  void abort();

 private:
  Result<std::string> fetch(std::string_view name, std::size_t limit) override;
  Result<void> read(const registry::BlobRange& range,
                    registry::ByteSink& sink,
                    const registry::CancelFlag& cancel) override;

  // Registers a call for `abort` while it lives.
  class Call;

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<fleet::v1::DeviceService::Stub> stub_;
  std::mutex mutex_;
  std::set<grpc::ClientContext*> running_;
  bool aborted_ = false;
};

}  // namespace skerry::agent::sync
