#pragma once

// The state and the coroutines of `SyncClient`, shared by its files. Private to this folder.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/strand.hpp>

#include "skerry/agent/notifier.hpp"
#include "skerry/agent/sync_client.hpp"
#include "skerry/async/backoff.hpp"
#include "skerry/async/bidi_stream.hpp"

#include "controller_channel.hpp"
#include "enrolment.hpp"
#include "session.hpp"

namespace skerry::agent {

inline std::uint64_t unix_ms_of(WallTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

struct SyncClient::Impl {
  using Stream = async::BidiStream<fleet::v1::DeviceMessage, fleet::v1::ControllerMessage>;

  Impl(Core& c, Installer& i, SlotManager& s, Outbox& o, security::AuditLog& a, ModelHost& h)
      : core(c),
        installer(i),
        slots(s),
        outbox(o),
        audit(a),
        host(h),
        strand(boost::asio::make_strand(c.disk)),
        backoff(limits_of(*c.settings), c.random),
        poke(c.control) {}

  static async::Backoff::Limits limits_of(const Settings& settings) {
    async::Backoff::Limits limits;
    limits.first = settings.sync().backoff_first;
    limits.longest = settings.sync().backoff_longest;
    return limits;
  }

  Task<void> run();
  Task<Result<void>> ensure_enrolled();
  void tell_identity();
  Task<Result<void>> connect();
  Task<void> read_loop(std::shared_ptr<Stream> stream, std::shared_ptr<sync::Session> session);
  Task<void> write_loop(std::shared_ptr<Stream> stream, std::shared_ptr<sync::Session> session);
  Task<void> hello_timeout(std::shared_ptr<sync::Session> session);
  Task<void> apply(sync::Session::Effects effects, std::shared_ptr<Stream> stream);
  Task<void> refresh_trust();
  // Turns a desired state into offers: its slots, or for a device with a director what that signed.
  Task<void> desire(sync::Session::Effects effects);
  Task<void> refuse_directions(Error error);
  Task<void> prove_growth(std::uint64_t old_size,
                          std::uint64_t new_size,
                          std::shared_ptr<Stream> stream);
  [[nodiscard]] fleet::v1::SlotReport to_report(const SlotView& view) const;
  [[nodiscard]] std::optional<fleet::v1::AuditCheckpoint> checkpoint() const;
  void put(std::string_view stream, const fleet::v1::OutboxRecord& record);
  void set_state(std::string_view name, const std::string& error = {});

  Core& core;
  Installer& installer;
  SlotManager& slots;
  Outbox& outbox;
  security::AuditLog& audit;
  ModelHost& host;
  boost::asio::any_io_executor strand;
  async::Backoff backoff;
  Notifier poke;

  SyncClient::OnIdentity on_identity;
  SyncState state;
  std::optional<sync::DeviceIdentity> identity;
  std::shared_ptr<const security::Signer> key;
  std::string key_pem;
  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<sync::ControllerSource> source;
  std::shared_ptr<Stream> live;
  std::optional<Error> session_error;
  // Why the director's word was refused last: said and audited once.
  std::string refused_directions;
};

}  // namespace skerry::agent
