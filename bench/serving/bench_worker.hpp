#pragma once

// A supervisor with one real worker, driven from a benchmark's own thread, and a process that
// computes beside it.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace skerry::runtime {
class PrefixShelf;
struct GenerateRequest;
}  // namespace skerry::runtime

namespace skerry::bench {

[[noreturn]] void give_up(const std::string& why);

// This very program with `--spin`, for as long as the object lives.
class Neighbour {
 public:
  explicit Neighbour(bool present);
  ~Neighbour();
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;

 private:
  pid_t pid_ = 0;
};

// When each token of one request came, by the steady clock, in seconds.
struct Answer {
  double asked = 0;
  std::vector<double> tokens;
  std::string failure;

  [[nodiscard]] double first_token() const { return tokens.empty() ? 0 : tokens.front() - asked; }
  // Of the tokens after the first.
  [[nodiscard]] double tokens_per_second() const;
  // Times between tokens of this answer while `other` was being read in.
  [[nodiscard]] std::vector<double> gaps(const Answer& other) const;
};

struct WorkerPlan {
  std::uint32_t threads = 0;
  bool adapt = true;
  std::string poll;  // empty: the host's
  // Where prefixes outlive the worker; null: nowhere. Outlives the worker.
  runtime::PrefixShelf* shelf = nullptr;
  // Off: greedy answers of models with random weights go round in circles, which guesses make fast.
  bool drafting = false;
};

// Not thread-safe. Ends the program if the worker fails.
class BenchWorker {
 public:
  struct Running;

  BenchWorker(const std::string& model, const WorkerPlan& plan);
  ~BenchWorker();
  BenchWorker(const BenchWorker&) = delete;
  BenchWorker& operator=(const BenchWorker&) = delete;

  [[nodiscard]] std::uint32_t context() const;
  // "1/2 shared", as `skerry status` has it.
  [[nodiscard]] std::string state() const;

  std::shared_ptr<Running> begin(const std::string& principal,
                                 std::vector<std::int32_t> prompt,
                                 std::uint32_t tokens);
  void wait_for_tokens(const Running& running, std::size_t count);
  // Until it is true, or the time is up.
  void wait_for(const std::function<bool()>& condition, std::chrono::seconds limit);
  [[nodiscard]] static bool ended(const Running& running);
  void cancel(const Running& running);
  Answer finish(const Running& running);
  Answer generate(const std::string& principal,
                  std::vector<std::int32_t> prompt,
                  std::uint32_t tokens);
  // An answer that follows a grammar, drawn at this temperature with the seed.
  Answer write(const std::string& grammar,
               float temperature,
               std::uint64_t seed,
               std::uint32_t tokens);
  // Requests one after another until the time is up.
  void generate_for(std::chrono::milliseconds time, const std::string& principal);
  // `flood` requests of one principal and `modest` of another, each followed by the next, for so
  // long. The tokens that each got.
  std::pair<std::size_t, std::size_t> compete(std::chrono::seconds time,
                                              int flood,
                                              int modest,
                                              const std::vector<std::int32_t>& prompt,
                                              std::uint32_t tokens);

 private:
  std::shared_ptr<Running> submit(runtime::GenerateRequest request);

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skerry::bench
