#include "connection.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <openssl/ssl.h>

#include "dial.hpp"
#include "lookup.hpp"

namespace skerry::agent::upstream {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

namespace {

constexpr std::size_t kPiece = 16U << 10U;

Error file_problem(const EndpointOptions& options,
                   std::string_view file,
                   const boost::system::error_code& ec) {
  return Error{Error::Code::kConfigInvalid,
               "upstream " + options.name + ": " + std::string{file} + ": " + ec.message()};
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_tls(const EndpointOptions& options,
                                                     const Url& url) {
  if (!url.tls) {
    return std::shared_ptr<asio::ssl::context>{};
  }
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  boost::system::error_code ec;
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1,
                   ec);
  tls->set_verify_mode(asio::ssl::verify_peer, ec);
  if (options.ca_file.empty()) {
    tls->set_default_verify_paths(ec);
  } else {
    tls->load_verify_file(options.ca_file, ec);
  }
  if (ec) {
    return file_problem(options, options.ca_file, ec);
  }
  if (!options.certificate_file.empty()) {
    tls->use_certificate_chain_file(options.certificate_file, ec);
    if (ec) {
      return file_problem(options, options.certificate_file, ec);
    }
    tls->use_private_key_file(options.key_file, asio::ssl::context::pem, ec);
    if (ec) {
      return file_problem(options, options.key_file, ec);
    }
  }
  return tls;
}

struct Exchange::Impl {
  Impl(const asio::any_io_executor& executor,
       Url where,
       std::shared_ptr<asio::ssl::context> context,
       std::uint64_t most)
      : url(std::move(where)),
        tls(std::move(context)),
        lookup(executor),
        dial(executor),
        socket(executor),
        timer(executor),
        reply(most) {}

  void close() {
    boost::system::error_code ignored;
    lookup.abandon();
    dial.abandon();
    socket.close(ignored);
  }
  Task<boost::system::error_code> connect();
  Task<boost::system::error_code> write(const std::string& bytes);
  Error error_of(const boost::system::error_code& ec, std::string_view doing) {
    if (aborted) {
      return Error{Error::Code::kCancelled, "the request was cancelled"};
    }
    const std::string why = timed_out ? "no answer in time" : ec.message();
    detail = std::string{doing} + " " + url.authority() + ": " + why;
    return Error{Error::Code::kUnavailable, (given ? "broke off: " : "cannot be reached: ") + why};
  }

  const Url url;
  const std::shared_ptr<asio::ssl::context> tls;
  Lookup lookup;
  Dial dial;
  Tcp::socket socket;
  std::optional<asio::ssl::stream<Tcp::socket&>> secure;
  asio::steady_timer timer;
  ReplyReader reply;
  std::array<char, kPiece> buffer{};
  std::string detail;
  std::uint64_t limits = 0;
  bool given = false;
  bool aborted = false;
  bool timed_out = false;

  // Closes everything when the time is over before it goes.
  class Limit {
   public:
    Limit(const std::shared_ptr<Impl>& impl, std::chrono::nanoseconds timeout) : impl_(impl) {
      const std::uint64_t number = ++impl->limits;
      impl->timer.expires_after(std::max(timeout, std::chrono::nanoseconds{1}));
      impl->timer.async_wait(
          [weak = std::weak_ptr{impl}, number](const boost::system::error_code& ec) {
            const auto alive = weak.lock();
            // One that fired just as it went is not meant any more.
            if (!ec && alive && alive->limits == number) {
              alive->timed_out = true;
              alive->close();
            }
          });
    }
    ~Limit() {
      ++impl_->limits;
      impl_->timer.cancel();
    }
    Limit(const Limit&) = delete;
    Limit& operator=(const Limit&) = delete;

   private:
    std::shared_ptr<Impl> impl_;
  };
};

Task<boost::system::error_code> Exchange::Impl::connect() {
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  std::vector<Tcp::endpoint> addresses;
  const asio::ip::address literal = asio::ip::make_address(url.host, ec);
  if (!ec) {
    addresses.emplace_back(literal, static_cast<std::uint16_t>(std::stoi(url.port)));
  } else {
    Lookup::Ask ask = ask_system(url.host, url.port);
    const Lookup::Found found = co_await lookup.run(std::move(ask));
    if (found.ec) {
      co_return found.ec;
    }
    addresses = in_turn(found.addresses);
  }
  if (aborted || timed_out) {
    co_return asio::error::operation_aborted;
  }
  ec = co_await dial.run(std::move(addresses), socket);
  if (!ec) {
    boost::system::error_code ignored;
    socket.set_option(Tcp::no_delay{true}, ignored);
  }
  if (ec || !tls) {
    co_return ec;
  }
  secure.emplace(socket, *tls);
  boost::system::error_code no_literal;
  static_cast<void>(asio::ip::make_address(url.host, no_literal));
  if (no_literal) {
    // What SSL_set_tlsext_host_name does, without its casts.
    ::SSL_ctrl(secure->native_handle(),
               SSL_CTRL_SET_TLSEXT_HOSTNAME,
               TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(url.host.c_str()));
  }
  secure->set_verify_callback(asio::ssl::host_name_verification{url.host}, ec);
  if (!ec) {
    co_await secure->async_handshake(asio::ssl::stream_base::client, token);
  }
  co_return ec;
}

Task<boost::system::error_code> Exchange::Impl::write(const std::string& bytes) {
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  if (secure) {
    co_await asio::async_write(*secure, asio::buffer(bytes), token);
  } else {
    co_await asio::async_write(socket, asio::buffer(bytes), token);
  }
  co_return ec;
}

Exchange::Exchange(const asio::any_io_executor& executor,
                   Url url,
                   std::shared_ptr<asio::ssl::context> tls,
                   std::uint64_t most)
    : impl_(std::make_shared<Impl>(executor, std::move(url), std::move(tls), most)) {}

Exchange::~Exchange() {
  impl_->close();
}

ReplyReader& Exchange::reply() {
  return impl_->reply;
}

const std::string& Exchange::detail() const {
  return impl_->detail;
}

bool Exchange::given() const {
  return impl_->given;
}

void Exchange::abort() {
  impl_->aborted = true;
  impl_->close();
}

Task<Result<void>> Exchange::connect(std::chrono::nanoseconds timeout) {
  if (impl_->aborted) {
    co_return impl_->error_of({}, "connecting to");
  }
  const Impl::Limit limit(impl_, timeout);
  const boost::system::error_code ec = co_await impl_->connect();
  if (ec || impl_->aborted || impl_->timed_out) {
    co_return impl_->error_of(ec, "connecting to");
  }
  co_return Result<void>();
}

Task<Result<void>> Exchange::send(std::string request, std::chrono::nanoseconds timeout) {
  if (impl_->aborted) {
    co_return impl_->error_of({}, "writing to");
  }
  const Impl::Limit limit(impl_, timeout);
  impl_->given = true;
  const boost::system::error_code ec = co_await impl_->write(request);
  // A body that is too large is refused, and the connection closed, before it was read.
  const bool refused = ec == asio::error::broken_pipe || ec == asio::error::connection_reset;
  if ((ec && !refused) || impl_->aborted || impl_->timed_out) {
    co_return impl_->error_of(ec, "writing to");
  }
  co_return Result<void>();
}

Task<Result<bool>> Exchange::read(std::chrono::nanoseconds timeout) {
  if (impl_->aborted) {
    co_return impl_->error_of({}, "reading from");
  }
  if (impl_->reply.complete()) {
    co_return false;
  }
  const Impl::Limit limit(impl_, timeout);
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  const auto space = asio::buffer(impl_->buffer);
  std::size_t count = 0;
  if (impl_->secure) {
    count = co_await impl_->secure->async_read_some(space, token);
  } else {
    count = co_await impl_->socket.async_read_some(space, token);
  }
  if (impl_->aborted || impl_->timed_out) {
    co_return impl_->error_of(ec, "reading from");
  }
  if (count > 0) {
    Result<void> fed = impl_->reply.feed(std::string_view(impl_->buffer.data(), count));
    if (!fed) {
      co_return fed.error();
    }
  }
  if (ec == asio::error::eof) {
    Result<void> whole = impl_->reply.finish();
    if (!whole) {
      co_return whole.error();
    }
    co_return false;
  }
  if (ec && !impl_->reply.complete()) {
    co_return impl_->error_of(ec, "reading from");
  }
  co_return !impl_->reply.complete();
}

}  // namespace skerry::agent::upstream
