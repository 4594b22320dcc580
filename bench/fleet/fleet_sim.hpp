#pragma once

// Simulated operators and devices that speak to a real controller over mTLS, for benches and
// integration tests. `SimOperator` holds signing keys in memory and publishes tiny models;
// `SimDevice` enrols and keeps a control channel open, without an agent behind it. Failures of the
// set-up are returned as errors with the call's name.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "skerry/common/result.hpp"
#include "skerry/fleet/v1/device.grpc.pb.h"
#include "skerry/fleet/v1/operator.grpc.pb.h"
#include "skerry/security/signer.hpp"

namespace skerry::sim {

// An own connection: channels to one address are not shared. Certificate and key may be empty.
std::shared_ptr<grpc::Channel> connect_tls(const std::string& address,
                                           const std::string& ca_pem,
                                           const std::string& certificate_pem,
                                           const std::string& key_pem);

std::string read_text(const std::filesystem::path& path);

// kUnavailable "<call>: <message>" for a status that is not OK.
Result<void> check(const grpc::Status& status, std::string_view call);

struct PublishedModel {
  std::string target;
  std::string manifest_digest;
  std::string blob;  // raw digest
};

class SimOperator {
 public:
  // `bundle`: the folder with operator.crt, operator.key and ca.crt.
  SimOperator(const std::string& address, const std::filesystem::path& bundle);

  [[nodiscard]] fleet::v1::FleetService::Stub& fleet() { return *stub_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] const std::string& ca_pem() const { return ca_pem_; }

  Result<std::string> token();
  Result<fleet::v1::PushBlobResponse> push_blob(const std::string& digest,
                                                const std::string& content,
                                                std::size_t piece = 1U << 20U);
  // Pushes `weights` as the one variant of acme/<name>, stages, signs and publishes it.
  Result<PublishedModel> publish_model(const std::string& name,
                                       const std::string& version,
                                       const std::string& weights);
  // The next targets metadata with one more target, signed by `key`; nothing is sent.
  Result<std::string> sign_targets(const security::Signer& key);
  [[nodiscard]] const security::Signer& targets_key() const { return *targets_key_; }
  // Signs the first root of the director repository and publishes it: from now on devices that know
  // the director get their desired state signed.
  Result<void> publish_director();
  [[nodiscard]] const std::string& director_root() const { return director_root_; }
  Result<fleet::v1::Rollout> roll_out(const PublishedModel& model, std::uint32_t canary);

 private:
  Result<std::string> sign_root();
  Result<fleet::v1::PublishResponse> publish();

  std::string address_;
  std::string ca_pem_;
  std::unique_ptr<fleet::v1::FleetService::Stub> stub_;
  std::unique_ptr<security::Signer> root_key_;
  std::unique_ptr<security::Signer> targets_key_;
  struct Entry {
    std::string target;
    std::string digest_hex;
    std::int64_t length = 0;
    std::int64_t counter = 0;
  };
  std::deque<Entry> targets_;
  std::int64_t root_version_ = 0;
  std::int64_t targets_version_ = 0;
  std::string director_root_;
};

class SimDevice final
    : private grpc::ClientBidiReactor<fleet::v1::DeviceMessage, fleet::v1::ControllerMessage> {
 public:
  // Called on gRPC's threads.
  using Handler = std::function<void(SimDevice&, const fleet::v1::ControllerMessage&)>;

  // A fresh key, enrolled with `token`.
  static Result<std::unique_ptr<SimDevice>> enrol(const std::string& address,
                                                  const std::string& ca_pem,
                                                  const std::string& token);
  ~SimDevice() override;

  // PEM: what another process needs to be this device.
  struct Credentials {
    std::string ca;
    std::string certificate;
    std::string key;
  };

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const Credentials& credentials() const { return credentials_; }
  [[nodiscard]] fleet::v1::DeviceService::Stub& stub() { return *stub_; }
  [[nodiscard]] std::shared_ptr<grpc::Channel> channel() { return channel_; }

  // Opens the control channel and sends `hello` (protocol 1 if none is given).
  void connect(Handler handler, std::optional<fleet::v1::Hello> hello = std::nullopt);
  void send(fleet::v1::DeviceMessage message);
  // Half-closes, waits for the end, returns its status. `cancel` does not wait for the other side.
  grpc::Status close(bool cancel = false);
  // Waits for the controller to end the stream.
  grpc::Status wait_closed();

 private:
  SimDevice() = default;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  std::string id_;
  Credentials credentials_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<fleet::v1::DeviceService::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  Handler handler_;
  fleet::v1::ControllerMessage incoming_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<fleet::v1::DeviceMessage> outgoing_;
  bool closing_ = false;
  bool open_ = false;
  grpc::Status status_;
};

}  // namespace skerry::sim
