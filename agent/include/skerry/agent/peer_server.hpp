#pragma once

// Serves blobs of this gateway to the other gateways of its site (`[peer] listen`): HTTPS range
// requests over mTLS, both sides with their device certificates. Only blobs that a manifest
// verified here names, and their chunk indexes; nothing else of the gateway can be reached. Who
// receives checks every chunk again.
//
// Runs on a thread of its own, since encrypting and reading take time that the control thread has
// not; it touches only what is thread-safe.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "skerry/agent/config.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"

namespace skerry::agent {

// What a gateway shows to its peers and how it knows them.
struct PeerIdentity {
  std::string certificate_chain_pem;
  std::string key_pem;
  // The fleet's CA certificates.
  std::string trust_bundle_pem;
  // "spiffe://<this>/device/…" is who may ask and who is asked.
  std::string trust_domain;

  friend bool operator==(const PeerIdentity&, const PeerIdentity&) = default;
};

struct PeerServerOptions {
  HostPort listen;
  // All peers together; 0: as fast as it goes.
  std::uint64_t bytes_per_second = 0;
  std::size_t max_connections = 8;
};

class PeerServer {
 public:
  // The open file of a blob that may be served; kNotFound otherwise. Called on the server's thread.
  using OpenBlob = std::function<Result<std::unique_ptr<File>>(const Digest&)>;

  // Listens at once. kUnavailable if the address is taken or is none, kCertificateInvalid if the
  // identity does not do.
  static Result<std::unique_ptr<PeerServer>> start(const PeerServerOptions& options,
                                                   const PeerIdentity& identity,
                                                   OpenBlob open,
                                                   const Clock& clock,
                                                   Log log);
  // Ends every transfer and waits for the thread.
  ~PeerServer();
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;

  // The port, where 0 was asked for.
  [[nodiscard]] std::uint16_t port() const;
  // Payload sent since the start. Thread-safe.
  [[nodiscard]] std::uint64_t served_bytes() const;

 private:
  struct Impl;
  explicit PeerServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::agent
