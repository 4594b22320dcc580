#include "peering.hpp"

#include <utility>

namespace skerry::agent {

Peering::Peering(Core& core,
                 const DeviceTime& time,
                 registry::Catalogue& catalogue,
                 registry::BlobStore& store)
    : core_(core), catalogue_(catalogue), store_(store), link_(core, time), sources_(core, link_) {}

std::uint64_t Peering::served_bytes() const {
  return server_ ? server_->served_bytes() : 0;
}

void Peering::fill(Gauges& gauges) {
  const LinkState link = link_.state();
  gauges.link_day_bytes = link.day_bytes;
  gauges.link_month_bytes = link.month_bytes;
  gauges.link_held_back = !link.held_back.empty();
  gauges.served_to_peers = served_bytes();
}

void Peering::become(const PeerIdentity& identity) {
  if (sources_.identity() == identity) {
    return;
  }
  sources_.set_identity(identity);
  server_.reset();
  const PeerConfig& peer = core_.settings->peer();
  if (peer.listen.empty()) {
    return;
  }
  PeerServerOptions options;
  options.listen = core_.settings->peer_address();
  options.bytes_per_second = peer.max_bytes_per_second.bytes;
  options.max_connections = static_cast<std::size_t>(peer.max_connections);
  Result<std::unique_ptr<PeerServer>> started = PeerServer::start(
      options,
      identity,
      [this](const Digest& blob) { return open_for_peers(blob); },
      core_.clock,
      core_.log);
  if (!started) {
    core_.log.error("peer.not_listening", started.error());
    return;
  }
  server_ = *std::move(started);
}

// On the peer server's thread. Only what a verified manifest names; the peer checks the bytes.
Result<std::unique_ptr<File>> Peering::open_for_peers(const Digest& blob) {
  Result<bool> named = catalogue_.names_blob(blob);
  if (!named) {
    return named.error();
  }
  Result<bool> held = *named ? store_.contains(blob) : named;
  if (!held) {
    return held.error();
  }
  if (!*held) {
    return Error{Error::Code::kNotFound, "no such blob"};
  }
  return store_.open_unverified(blob);
}

}  // namespace skerry::agent
