#include "skerry/agent/peer_server.hpp"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <openssl/ssl.h>

#include "skerry/agent/blob_http.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/registry/fetcher.hpp"
#include "skerry/security/certificate.hpp"

namespace skerry::agent {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace {

using PeerStream = beast::ssl_stream<beast::tcp_stream>;

constexpr std::chrono::seconds kHandshakeLimit{15};
constexpr std::chrono::seconds kIdleLimit{75};
constexpr std::chrono::seconds kWriteLimit{30};
constexpr std::uint32_t kMaxRequestHeader = 8U << 10U;
constexpr std::size_t kServePiece = 256U << 10U;
constexpr std::chrono::milliseconds kAcceptRetry{200};

struct PeerAnswer {
  unsigned status = 200;
  std::string_view reason = "OK";
  std::unique_ptr<File> file;
  std::optional<ByteSpan> span;  // what is sent of it
  std::uint64_t size = 0;
  bool keep_alive = true;
};

PeerAnswer refusal(unsigned status, std::string_view reason) {
  PeerAnswer answer;
  answer.status = status;
  answer.reason = reason;
  return answer;
}

std::string header_of(const PeerAnswer& answer) {
  std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " ";
  text += answer.reason;
  const std::uint64_t length = answer.span ? answer.span->last - answer.span->first + 1 : 0;
  text += "\r\nContent-Length: " + std::to_string(length) + "\r\n";
  if (answer.status == 206) {
    text += "Content-Range: bytes " + std::to_string(answer.span->first) + "-" +
            std::to_string(answer.span->last) + "/" + std::to_string(answer.size) + "\r\n";
  }
  if (answer.span) {
    text += "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n";
  }
  text += answer.keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  return text;
}

Error tls_problem(const boost::system::error_code& ec) {
  return {Error::Code::kCertificateInvalid,
          "the peer listener's certificate or key: " + ec.message()};
}

Result<std::unique_ptr<asio::ssl::context>> make_tls(const PeerIdentity& identity) {
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  boost::system::error_code ec;
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1,
                   ec);
  if (!ec) {
    tls->use_certificate_chain(asio::buffer(identity.certificate_chain_pem), ec);
  }
  if (!ec) {
    tls->use_private_key(asio::buffer(identity.key_pem), asio::ssl::context::pem, ec);
  }
  if (!ec) {
    tls->add_certificate_authority(asio::buffer(identity.trust_bundle_pem), ec);
  }
  if (!ec) {
    tls->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, ec);
  }
  if (ec) {
    return tls_problem(ec);
  }
  return tls;
}

// Who is at the other end, if it is a gateway of this trust domain.
std::optional<std::string> gateway_of(PeerStream& stream, const std::string& trust_domain) {
  X509* found = ::SSL_get0_peer_certificate(stream.native_handle());
  const int length = found == nullptr ? 0 : ::i2d_X509(found, nullptr);
  if (length <= 0) {
    return std::nullopt;
  }
  Bytes der(static_cast<std::size_t>(length));
  unsigned char* out = der.data();
  ::i2d_X509(found, &out);
  const auto certificate = security::Certificate::from_der(der);
  if (!certificate) {
    return std::nullopt;
  }
  const auto identity = certificate->identity();
  if (!identity || identity->kind != security::SpiffeId::Kind::kDevice ||
      identity->trust_domain != trust_domain) {
    return std::nullopt;
  }
  return identity->name;
}

}  // namespace

struct PeerServer::Impl {
  Impl(const PeerServerOptions& wanted,
       std::string domain,
       std::unique_ptr<asio::ssl::context> context,
       OpenBlob open_blob,
       const Clock& boot,
       Log to)
      : options(wanted),
        trust_domain(std::move(domain)),
        tls(std::move(context)),
        open(std::move(open_blob)),
        clock(boot),
        log(std::move(to)),
        acceptor(io),
        bucket(wanted.bytes_per_second, wanted.bytes_per_second / 10, boot.boot_now()) {}

  Result<void> listen() {
    boost::system::error_code ec;
    const auto address = asio::ip::make_address(
        options.listen.host == "localhost" ? "127.0.0.1" : options.listen.host, ec);
    const asio::ip::tcp::endpoint endpoint{address, options.listen.port};
    if (!ec) {
      acceptor.open(endpoint.protocol(), ec);
    }
    if (!ec) {
      ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
      acceptor.set_option(asio::ip::tcp::acceptor::reuse_address{true}, ec);
    }
    if (!ec) {
      acceptor.bind(endpoint, ec);
    }
    if (!ec) {
      acceptor.listen(asio::socket_base::max_listen_connections, ec);
    }
    if (!ec) {
      port = acceptor.local_endpoint(ec).port();
    }
    if (ec) {
      return Error{Error::Code::kUnavailable,
                   "peer.listen " + options.listen.host + ":" +
                       std::to_string(options.listen.port) + ": " + ec.message()};
    }
    return {};
  }

  Task<void> accept_peers();
  Task<void> serve(asio::ip::tcp::socket socket);
  Task<bool> answer_one(PeerStream& stream, beast::flat_buffer& buffer, const std::string& peer);
  Task<bool> send_span(PeerStream& stream, const PeerAnswer& answer, const std::string& peer);
  PeerAnswer answer_to(const bhttp::request<bhttp::empty_body>& request);

  const PeerServerOptions options;
  const std::string trust_domain;
  const std::unique_ptr<asio::ssl::context> tls;
  const OpenBlob open;
  const Clock& clock;
  Log log;
  asio::io_context io{1};
  asio::ip::tcp::acceptor acceptor;
  registry::TokenBucket bucket;
  std::size_t connections = 0;
  std::uint16_t port = 0;
  std::atomic<std::uint64_t> served{0};
  std::thread thread;
};

Task<void> PeerServer::Impl::accept_peers() {
  while (true) {
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    asio::ip::tcp::socket socket = co_await acceptor.async_accept(token);
    if (ec == asio::error::operation_aborted) {
      co_return;
    }
    if (ec) {
      log.warning("listen.exhausted", {{"socket", "peer"}, {"error", ec.message()}});
      co_await async::sleep_for(kAcceptRetry);
      continue;
    }
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    if (connections >= options.max_connections) {
      continue;  // closed: the peer asks another source, or later
    }
    ++connections;
    asio::co_spawn(
        io, serve(std::move(socket)), [this](const std::exception_ptr&) { --connections; });
  }
}

Task<void> PeerServer::Impl::serve(asio::ip::tcp::socket socket) {
  PeerStream stream(std::move(socket), *tls);
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  beast::get_lowest_layer(stream).expires_after(kHandshakeLimit);
  co_await stream.async_handshake(asio::ssl::stream_base::server, token);
  if (ec) {
    log.info("peer.refused", {{"error", ec.message()}});
    co_return;
  }
  const std::optional<std::string> peer = gateway_of(stream, trust_domain);
  if (!peer) {
    log.warning("peer.refused", {{"error", "the certificate is no gateway's of this fleet"}});
    co_return;
  }
  beast::flat_buffer buffer(kMaxRequestHeader);
  bool more = true;
  while (more) {
    more = co_await answer_one(stream, buffer, *peer);
  }
  beast::get_lowest_layer(stream).expires_after(kHandshakeLimit);
  co_await stream.async_shutdown(token);
}

PeerAnswer PeerServer::Impl::answer_to(const bhttp::request<bhttp::empty_body>& request) {
  if (request.method() != bhttp::verb::get) {
    return refusal(405, "Method Not Allowed");
  }
  const auto target = request.target();
  const auto digest = parse_blob_path({target.data(), target.size()});
  auto file = digest ? open(*digest) : Result<std::unique_ptr<File>>{digest.error()};
  if (!file) {
    const auto code = file.error().code();
    return code == Error::Code::kNotFound || code == Error::Code::kParse
               ? refusal(404, "Not Found")
               : refusal(503, "Service Unavailable");
  }
  const auto status = (*file)->status();
  if (!status || status->size == 0) {
    return refusal(503, "Service Unavailable");
  }
  PeerAnswer answer;
  answer.size = status->size;
  answer.span = ByteSpan{0, status->size - 1};
  const auto range = request.find(bhttp::field::range);
  if (range != request.end()) {
    const auto span = parse_byte_range({range->value().data(), range->value().size()}, answer.size);
    if (!span) {
      return refusal(416, "Range Not Satisfiable");
    }
    answer.span = *span;
    answer.status = 206;
    answer.reason = "Partial Content";
  }
  answer.file = std::move(*file);
  return answer;
}

Task<bool> PeerServer::Impl::answer_one(PeerStream& stream,
                                        beast::flat_buffer& buffer,
                                        const std::string& peer) {
  bhttp::request_parser<bhttp::empty_body> parser;
  parser.header_limit(kMaxRequestHeader);
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  beast::get_lowest_layer(stream).expires_after(kIdleLimit);
  co_await bhttp::async_read(stream, buffer, parser, token);
  if (ec) {
    co_return false;
  }
  PeerAnswer answer = answer_to(parser.get());
  answer.keep_alive = parser.get().keep_alive();
  const std::string header = header_of(answer);
  beast::get_lowest_layer(stream).expires_after(kWriteLimit);
  co_await asio::async_write(stream, asio::buffer(header), token);
  if (ec) {
    co_return false;
  }
  if (answer.file) {
    const bool sent = co_await send_span(stream, answer, peer);
    if (!sent) {
      co_return false;
    }
  }
  co_return answer.keep_alive;
}

Task<bool> PeerServer::Impl::send_span(PeerStream& stream,
                                       const PeerAnswer& answer,
                                       const std::string& peer) {
  Bytes piece(kServePiece);
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  for (std::uint64_t at = answer.span->first; at <= answer.span->last;) {
    const auto wanted = std::min<std::uint64_t>(piece.size(), answer.span->last - at + 1);
    const std::span<std::uint8_t> space(piece.data(), wanted);
    const auto count = answer.file->read_at(at, space);
    if (!count || *count != wanted) {
      log.warning("peer.read_failed", {{"peer", peer}});
      co_return false;
    }
    const auto wait = bucket.take(wanted, clock.boot_now());
    if (wait.count() > 0) {
      beast::get_lowest_layer(stream).expires_never();
      co_await async::sleep_for(wait);
    }
    beast::get_lowest_layer(stream).expires_after(kWriteLimit);
    co_await asio::async_write(stream, asio::buffer(piece.data(), wanted), token);
    if (ec) {
      co_return false;
    }
    served += wanted;
    at += wanted;
  }
  co_return true;
}

PeerServer::PeerServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<PeerServer>> PeerServer::start(const PeerServerOptions& options,
                                                      const PeerIdentity& identity,
                                                      OpenBlob open,
                                                      const Clock& clock,
                                                      Log log) {
  auto tls = make_tls(identity);
  if (!tls) {
    return tls.error();
  }
  auto impl = std::make_unique<Impl>(
      options, identity.trust_domain, std::move(*tls), std::move(open), clock, std::move(log));
  if (auto ok = impl->listen(); !ok) {
    return ok.error();
  }
  impl->log.info("peer.listening", {{"address", options.listen.host}, {"port", impl->port}});
  asio::co_spawn(impl->io, impl->accept_peers(), [](const std::exception_ptr&) {});
  impl->thread = std::thread{[raw = impl.get()] { raw->io.run(); }};
  return std::unique_ptr<PeerServer>{new PeerServer(std::move(impl))};
}

PeerServer::~PeerServer() {
  // What its coroutines hold is freed with the io_context.
  impl_->io.stop();
  impl_->thread.join();
}

std::uint16_t PeerServer::port() const {
  return impl_->port;
}

std::uint64_t PeerServer::served_bytes() const {
  return impl_->served.load();
}

}  // namespace skerry::agent
