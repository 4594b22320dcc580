#pragma once

// What Upstreams is made of: the servers with their book, and the requests under way. Private.
//
// upstreams.cpp: composition, probes, loading. call.cpp: one request from its turn to its last
// event. ask.cpp: what is exchanged with one server for it.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "skerry/agent/upstream_choice.hpp"
#include "skerry/agent/upstream_request.hpp"
#include "skerry/agent/upstream_stream.hpp"
#include "skerry/agent/upstreams.hpp"
#include "skerry/async/task_group.hpp"

#include "connection.hpp"

namespace skerry::agent::upstream {

// One request, from `submit` to its last event.
struct Call {
  Call(const boost::asio::any_io_executor& executor, runtime::Request wanted, runtime::EventSink to)
      : request(std::move(wanted)), sink(std::move(to)), wake(executor) {}

  void cancel() {
    cancelled = true;
    if (exchange != nullptr) {
      exchange->abort();
    }
    wake.cancel();
  }
  // The last event; what comes after it is dropped.
  void end(runtime::Event event) {
    if (!ended) {
      ended = true;
      sink(std::move(event));
    }
  }

  std::uint64_t id = 0;
  runtime::Request request;
  runtime::EventSink sink;
  Digest model;
  std::shared_ptr<const Spec> spec;
  boost::asio::steady_timer wake;
  Exchange* exchange = nullptr;
  // Room on this endpoint was given to it while it waited.
  std::optional<std::size_t> granted;
  std::set<std::size_t> tried;
  unsigned given = 0;
  unsigned lost = 0;
  std::optional<Error> last_error;
  // Who was given it, in order.
  std::string served_by;
  BootTime began{};
  BootTime asked{};
  std::chrono::nanoseconds first_piece{0};
  // Of the answer, as they were passed on.
  std::uint32_t pieces = 0;
  bool waiting = false;
  bool started = false;
  bool cancelled = false;
  bool ended = false;
};
using CallPtr = std::shared_ptr<Call>;

// Where keys lie is for administrators to know.
inline constexpr std::string_view kNoKey = "the gateway has no usable key for it";

struct Endpoint {
  EndpointOptions options;
  Url url;
  const Quirks* quirks = nullptr;
  std::shared_ptr<boost::asio::ssl::context> tls;
};

class UpstreamsImpl final : public Upstreams {
 public:
  UpstreamsImpl(boost::asio::any_io_executor control,
                boost::asio::any_io_executor disk,
                UpstreamOptions options,
                std::vector<Endpoint> endpoints,
                const Clock& clock,
                FileSystem& fs,
                Log log);

  Task<void> run() override;
  Task<Result<std::shared_ptr<runtime::LoadedModel>>> load(Digest model, Spec spec) override;
  Task<void> stop() override;
  [[nodiscard]] std::vector<EndpointView> view() const override;

  void submit(const CallPtr& call);
  [[nodiscard]] const boost::asio::any_io_executor& control() const { return control_; }
  // Whether a server is well that has the model, and why not.
  [[nodiscard]] Result<void> reachable(const Spec& spec) const;
  [[nodiscard]] std::uint32_t in_flight(const Digest& model) const;
  Task<void> drain(Digest model, std::chrono::milliseconds grace);

 private:
  // How an attempt on one server ended.
  struct Attempt {
    Outcome outcome;
    // The call has got its last event.
    bool over = false;
    std::optional<Error> error;
  };
  // Gives the room on an endpoint back, however the attempt ends.
  class Room;

  Task<void> serve(CallPtr call);
  Task<void> attempts(CallPtr call);
  Task<bool> wait_for_room(CallPtr call);
  std::optional<bool> seek_room(Call& call);
  bool join_line(Call& call);
  [[nodiscard]] std::optional<runtime::Failure> hopeless(const Call& call,
                                                         const Choice& choice,
                                                         const std::optional<Error>& refusal) const;
  Task<bool> attempt(CallPtr call, std::size_t endpoint);
  [[nodiscard]] Choice choose(const Call& call, std::optional<Error>& refusal) const;
  void take_room(Call& call, std::size_t endpoint);
  void give_room(const Call& call, std::size_t endpoint, const Outcome& outcome);
  // Hands free room to those who wait, in their order.
  void pump();
  // The same for those whose room came free without anybody saying so; not at each one's tick.
  void pump_at_times();
  void leave_line(Call& call);

  Task<Attempt> ask_text(CallPtr call, std::size_t endpoint, Exchange& exchange);
  // Passes on what these events say; the attempt's end if one of them is faulty.
  std::optional<Attempt> take_events(Call& call,
                                     TextAnswer& answer,
                                     const std::vector<SseEvent>& events) const;
  Task<Attempt> ask_embeddings(CallPtr call, std::size_t endpoint, Exchange& exchange);
  Task<Result<void>> post(CallPtr call, std::size_t endpoint, Exchange& exchange, Body body);
  // The error's body of a reply that is not 200.
  Task<Attempt> read_refusal(CallPtr call, Exchange& exchange);
  Attempt broken(const Call& call, const Error& error, Blame blame) const;
  // It was not given to the server: no connection, or no key.
  Attempt unsent(const Call& call, const Error& error) const;
  Attempt faulty(const Fault& fault) const;
  void pass_on(Call& call, TextAnswer::Piece piece) const;
  void finish(Call& call, runtime::Done done) const;
  void end_cancelled(Call& call) const;
  [[nodiscard]] std::chrono::nanoseconds left(const Call& call,
                                              std::chrono::nanoseconds at_most) const;
  [[nodiscard]] bool overdue(const Call& call) const;

  Task<Result<std::string>> authorization(std::size_t endpoint);
  Task<void> probe(std::size_t endpoint);
  // Logs what became of an endpoint that was `before`; false if nothing.
  bool tell_change(std::size_t endpoint, Health before);
  Task<Result<Probe>> ask_health(std::size_t endpoint);
  struct Page {
    int status = 0;
    std::string body;
  };
  Task<Result<Page>> get(std::size_t endpoint, std::string target, std::string key);

  boost::asio::any_io_executor control_;
  boost::asio::any_io_executor disk_;
  UpstreamOptions options_;
  std::vector<Endpoint> endpoints_;
  const Clock& clock_;
  FileSystem& fs_;
  Log log_;
  Book book_;
  // Of each endpoint's last probe, if a connection failed: where.
  std::vector<std::string> details_;
  WaitingLine line_;
  std::map<std::uint64_t, CallPtr> calls_;
  std::map<std::string, std::size_t> under_way_;
  std::uint64_t last_id_ = 0;
  BootTime last_pump_{};
  bool stopped_ = false;
  boost::asio::steady_timer probe_wake_;
  async::TaskGroup tasks_;
};

}  // namespace skerry::agent::upstream
