#include "skerry/agent/http_front.hpp"

#include <fcntl.h>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "skerry/agent/http_text.hpp"
#include "skerry/agent/unix_listener.hpp"
#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/sleep.hpp"

#include "http_session.hpp"

namespace skerry::agent {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::milliseconds kAcceptPause{200};

}  // namespace

struct HttpFront::Impl {
  explicit Impl(HttpParts p)
      : parts(std::move(p)),
        connections(parts.core.control,
                    [log = parts.core.log](const std::string& task, const std::string& what) {
                      log.warning("http.connection_failed", {{"task", task}, {"error", what}});
                    }) {}

  // One more connection, or a short refusal.
  void admit(std::unique_ptr<HttpConnection> connection, std::optional<Caller> caller) {
    const auto limit = static_cast<std::size_t>(parts.core.settings->http().max_connections);
    if (connections.size() >= limit) {
      connections.spawn("http.refuse", refuse(std::move(connection)));
      return;
    }
    connections.spawn("http", serve_http(parts, std::move(connection), std::move(caller)));
  }

  static Task<void> refuse(std::unique_ptr<HttpConnection> connection) {
    HttpHeaders headers;
    headers.emplace_back("retry-after", "1");
    std::string answer =
        http_response(503,
                      "application/json",
                      headers,
                      "{\"error\":{\"message\":\"too many connections\",\"type\":"
                      "\"overloaded_error\",\"param\":null,\"code\":\"queue_full\"}}",
                      false);
    co_await connection->write(std::move(answer));
    connection->close();
  }

  Task<void> accept_tcp() {
    while (true) {
      boost::system::error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      asio::ip::tcp::socket socket = co_await tcp->async_accept(token);
      if (ec == asio::error::operation_aborted) {
        throw boost::system::system_error(ec);
      }
      if (ec) {
        parts.core.log.warning("listen.exhausted", {{"socket", "http"}, {"error", ec.message()}});
        co_await async::sleep_for(kAcceptPause);
        continue;
      }
      // Asio accepts without it, and workers must not inherit connections.
      ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
      admit(make_connection(std::move(socket), parts.core.settings->http()), std::nullopt);
    }
  }

  HttpParts parts;
  async::TaskGroup connections;
  std::unique_ptr<UnixListener> unix;
  std::unique_ptr<asio::ip::tcp::acceptor> tcp;
};

HttpFront::HttpFront(Core& core,
                     Inference& inference,
                     Access& access,
                     AuditWriter& audit,
                     ModelHost& host,
                     SlotManager& slots,
                     ImportAdministration& imports,
                     security::TokenStore& tokens,
                     Metrics& metrics,
                     std::function<Gauges()> gauges)
    : impl_(std::make_unique<Impl>(HttpParts{core,
                                             inference,
                                             access,
                                             audit,
                                             host,
                                             slots,
                                             imports,
                                             tokens,
                                             metrics,
                                             std::move(gauges)})) {}

HttpFront::~HttpFront() = default;

Result<void> HttpFront::start() {
  Impl& self = *impl_;
  const Settings& settings = *self.parts.core.settings;
  if (!settings.listen().http_socket.empty()) {
    Result<UniqueFd> socket = listen_unix(settings.listen().http_socket, SocketOwner{-1, 0666});
    if (!socket) {
      return socket.error().with_context("listen.http_socket");
    }
    self.unix = std::make_unique<UnixListener>(
        "http",
        *std::move(socket),
        [&self](UniqueFd accepted, Caller caller) {
          asio::local::stream_protocol::socket stream{self.parts.core.control};
          boost::system::error_code ec;
          stream.assign(asio::local::stream_protocol{}, accepted.get(), ec);
          if (ec) {
            return;
          }
          static_cast<void>(accepted.release());
          self.admit(make_connection(std::move(stream), self.parts.core.settings->http()),
                     std::move(caller));
        },
        self.parts.core.log);
  }
  if (settings.http().tcp) {
    const HostPort& wanted = settings.http_address();
    boost::system::error_code ec;
    const asio::ip::address address =
        asio::ip::make_address(wanted.host == "localhost" ? "127.0.0.1" : wanted.host, ec);
    auto acceptor = std::make_unique<asio::ip::tcp::acceptor>(self.parts.core.control);
    const asio::ip::tcp::endpoint endpoint{address, wanted.port};
    if (!ec) {
      acceptor->open(endpoint.protocol(), ec);
    }
    if (!ec) {
      ::fcntl(acceptor->native_handle(), F_SETFD, FD_CLOEXEC);
      acceptor->set_option(asio::ip::tcp::acceptor::reuse_address{true}, ec);
    }
    if (!ec) {
      acceptor->bind(endpoint, ec);
    }
    if (!ec) {
      acceptor->listen(asio::socket_base::max_listen_connections, ec);
    }
    if (ec) {
      return Error{Error::Code::kUnavailable,
                   "http.tcp_address " + settings.http().tcp_address + ": " + ec.message()};
    }
    self.parts.core.log.info("http.listening",
                             {{"address", acceptor->local_endpoint().address().to_string()},
                              {"port", acceptor->local_endpoint().port()}});
    self.tcp = std::move(acceptor);
  }
  return {};
}

Task<void> HttpFront::run() {
  std::vector<Task<void>> listeners;
  if (impl_->unix) {
    listeners.push_back(impl_->unix->run());
  }
  if (impl_->tcp) {
    listeners.push_back(impl_->accept_tcp());
  }
  if (listeners.empty()) {
    Notifier never(impl_->parts.core.control);
    while (true) {
      co_await never.wait();
    }
  }
  co_await async::run_until_first_exit(std::move(listeners));
}

Task<void> HttpFront::stop() {
  if (impl_->tcp) {
    impl_->tcp->close();
  }
  co_await impl_->connections.stop();
}

}  // namespace skerry::agent
