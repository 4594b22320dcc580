#pragma once

// The state and the coroutines of `SyncClient`, shared by its files. Private to this folder.

#include <map>
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
#include "renewal.hpp"
#include "server_trust.hpp"
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
        renewal_backoff({std::chrono::seconds(1), std::chrono::hours(6)}, c.random),
        identity_free(c.control),
        end_signal(c.control),
        poke(c.control) {}

  // Holds the right to change the identity while it lives.
  class IdentityChange {
   public:
    explicit IdentityChange(Impl& owner) : owner_(owner) { owner_.changing_identity = true; }
    ~IdentityChange() {
      owner_.changing_identity = false;
      owner_.identity_free.notify();
    }
    IdentityChange(const IdentityChange&) = delete;
    IdentityChange& operator=(const IdentityChange&) = delete;

   private:
    Impl& owner_;
  };
  Task<void> wait_for_identity() {
    while (changing_identity) {
      co_await identity_free.wait();
    }
  }

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
  // Takes an identity into use: the next connection is made with it.
  Result<void> adopt(sync::Credentials credentials);
  // Waits for its time, renews, and ends, so that the connection is made anew.
  Task<void> renewal_loop(std::shared_ptr<sync::Session> session);
  // At half of the certificate's life, or soon after a newer authority was announced.
  std::chrono::milliseconds until_next_renewal();
  Task<Result<void>> renew_certificate(std::string why);
  // From the disk each time: what a cut-off connection stored is known too.
  Task<Result<std::string>> shown_nonce();
  Task<void> keep_nonce(std::string nonce, std::shared_ptr<Stream> stream);
  Task<void> obey(fleet::v1::DecommissionOrder order);
  // Returns when this gateway has come to its end, as far as the controller can be told.
  Task<void> wait_for_end();
  Task<void> adopt_trust(fleet::v1::TrustBundle bundle);
  Task<Result<void>> record(security::AuditEvent event);
  // The same where nothing waits for it; failures are logged.
  Task<void> note(security::AuditEvent event);
  Task<void> forget_former_keys();
  Task<void> read_loop(std::shared_ptr<Stream> stream, std::shared_ptr<sync::Session> session);
  Task<void> write_loop(std::shared_ptr<Stream> stream, std::shared_ptr<sync::Session> session);
  Task<void> hello_timeout(std::shared_ptr<sync::Session> session);
  // At the greeting the controller may know more than was sent since: those records are skipped.
  Task<void> acknowledge(std::map<std::string, std::uint64_t> up_to, bool greeting);
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
  // Shows why there is no connection, says it once, and returns how long to wait.
  std::chrono::milliseconds disconnected(const Error& error);

  Core& core;
  Installer& installer;
  SlotManager& slots;
  Outbox& outbox;
  security::AuditLog& audit;
  ModelHost& host;
  boost::asio::any_io_executor strand;
  async::Backoff backoff;
  // Failed renewals are repeated at a pace of their own.
  async::Backoff renewal_backoff;
  // One change of identity.json at a time.
  bool changing_identity = false;
  Notifier identity_free;
  // When to follow a newer authority.
  std::optional<BootTime> follow_at;
  // The order under which this gateway ends; empty: none.
  std::string ending;
  Notifier end_signal;
  // The stream was ended here, to make it anew.
  bool reconnect = false;
  Notifier poke;

  SyncClient::OnIdentity on_identity;
  SyncState state;
  std::optional<sync::DeviceIdentity> identity;
  std::optional<security::Certificate> certificate;
  std::shared_ptr<const security::Signer> key;
  std::string key_pem;
  std::shared_ptr<sync::ServerTrust> trust;
  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<sync::ControllerSource> source;
  std::shared_ptr<Stream> live;
  std::optional<Error> session_error;
  // Why the director's word was refused last: said and audited once.
  std::string refused_directions;
};

}  // namespace skerry::agent
