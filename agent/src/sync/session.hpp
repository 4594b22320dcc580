#pragma once

// The device's side of the control channel without the network: what to say, and what each message
// of the controller asks for. `SyncClient` carries it out; tests feed it messages.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skerry/agent/activation.hpp"
#include "skerry/agent/director_client.hpp"
#include "skerry/agent/outbox.hpp"
#include "skerry/common/result.hpp"
#include "skerry/fleet/v1/device.pb.h"

namespace skerry::agent::sync {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::uint32_t kMinProtocolVersion = 1;

// What the hello says of this gateway.
struct Identity {
  std::string tenant_id;
  std::string site_id;
  std::string boot_id;
  fleet::v1::DeviceInfo info;
  // What of the director's metadata has been verified.
  DirectorClient::Versions director;
  // SHA-256 of the authorities that are trusted.
  std::string trust_sha256;
  // What the controller's last hello gave; empty at first.
  std::string nonce;
};

// As it goes to the controller; a body that does not parse becomes a gap of its number.
fleet::v1::OutboxRecord outbox_record(const OutboxEntry& entry);

class Session {
 public:
  explicit Session(Identity identity) : identity_(std::move(identity)) {}

  // The first message.
  [[nodiscard]] fleet::v1::DeviceMessage hello(
      std::uint64_t wall_ms,
      const std::map<std::string, std::uint64_t>& generations,
      const std::optional<fleet::v1::AuditCheckpoint>& audit) const;

  // What a message of the controller asks for.
  struct Effects {
    // The hello was accepted: reports may be sent, the outbox may flow.
    bool established = false;
    // Forget these records; numbering continues after them if we never gave that many.
    std::optional<std::map<std::string, std::uint64_t>> acknowledged;
    struct SlotOffer {
      std::string slot;
      activation::Offer offer;
    };
    std::vector<SlotOffer> offers;
    // A desired state came; with the director's files if the controller has a director.
    bool desired = false;
    MetadataFiles director;
    bool refresh_trust = false;
    // The controller wants it proven that our audit log of the new size continues the old one.
    struct AuditGrowth {
      std::uint64_t old_size = 0;
      std::uint64_t new_size = 0;
    };
    std::optional<AuditGrowth> prove;
    // Other authorities to trust.
    std::optional<fleet::v1::TrustBundle> trust;
    // To be stored durably and shown next time.
    std::optional<std::string> nonce;
    // The end of this gateway; not verified yet.
    std::optional<fleet::v1::DecommissionOrder> decommission;
    // The controller's clock, for the time floor.
    std::uint64_t wall_ms = 0;
  };
  // kProtocolMismatch names both versions and which side to update; kFailedPrecondition for
  // anything before the hello; kInvalidArgument for a message beyond the limits. An error ends the
  // stream.
  Result<Effects> on_message(const fleet::v1::ControllerMessage& message);

  // The next batch to send, or nothing while one is unacknowledged.
  [[nodiscard]] bool may_send() const { return established_ && !in_flight_; }
  // Wraps what `Outbox::read` gave; a body that does not parse is sent as a gap of its number.
  fleet::v1::DeviceMessage batch(const std::vector<OutboxEntry>& entries);

  [[nodiscard]] bool established() const { return established_; }
  [[nodiscard]] std::uint32_t protocol() const { return protocol_; }

  static constexpr int kMaxSlots = 256;
  static constexpr std::size_t kMaxText = 1024;
  // Of the director, with its new roots.
  static constexpr int kMaxFiles = 256;
  static constexpr std::size_t kMaxFileBytes = 4U << 20U;
  static constexpr std::size_t kMaxTrust = 128U << 10U;
  static constexpr std::size_t kMaxNonce = 64;
  static constexpr int kMaxSignatures = 8;

 private:
  Result<Effects> on_hello(const fleet::v1::ControllerHello& hello);
  static Result<Effects> on_desired(const fleet::v1::DesiredState& desired);

  Identity identity_;
  bool established_ = false;
  bool in_flight_ = false;
  std::uint32_t protocol_ = 0;
};

}  // namespace skerry::agent::sync
