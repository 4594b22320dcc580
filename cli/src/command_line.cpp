#include "command_line.hpp"

#include <sstream>

#include <CLI/CLI.hpp>

#include "skerry/cli/program.hpp"
#include "skerry/common/toml_reader.hpp"

namespace skerry::cli {
namespace {

class OptionNode final : public Option {
 public:
  explicit OptionNode(CLI::Option* option) : option_(option) {}
  Option* required() override {
    option_->required();
    return this;
  }
  Option* show_default() override {
    option_->capture_default_str();
    return this;
  }
  Option* one_of(std::initializer_list<std::string> values) override {
    option_->check(CLI::IsMember(std::vector<std::string>{values}));
    return this;
  }
  Option* environment(const std::string& name) override {
    option_->envname(name);
    return this;
  }
  Option* one_each() override {
    option_->allow_extra_args(false);
    return this;
  }
  Option* separated_by(char delimiter) override {
    option_->delimiter(delimiter);
    return this;
  }

 private:
  CLI::Option* option_;
};

class CommandNode final : public Command {
 public:
  explicit CommandNode(CLI::App* app) : app_(app) {}

  Command* add_subcommand(const std::string& name, const std::string& help) override {
    children_.push_back(std::make_unique<CommandNode>(app_->add_subcommand(name, help)));
    return children_.back().get();
  }
  Option* add_flag(const std::string& name, bool& value, const std::string& help) override {
    return keep(app_->add_flag(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::string& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::uint32_t& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::uint64_t& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::int64_t& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name, double& value, const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::optional<float>& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::optional<std::uint64_t>& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::optional<std::string>& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::vector<std::string>& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  Option* add_option(const std::string& name,
                     std::vector<std::int64_t>& value,
                     const std::string& help) override {
    return keep(app_->add_option(name, value, help));
  }
  void require_subcommand(std::size_t least, std::size_t most) override {
    app_->require_subcommand(least, most);
  }
  void on_chosen(std::function<void()> action) override {
    // CLI11 calls a parent's callback after its subcommand's.
    app_->callback([app = app_, action = std::move(action)] {
      if (app->get_subcommands().empty()) {
        action();
      }
    });
  }

 private:
  Option* keep(CLI::Option* option) {
    options_.push_back(std::make_unique<OptionNode>(option));
    return options_.back().get();
  }

  CLI::App* app_;
  std::vector<std::unique_ptr<CommandNode>> children_;
  std::vector<std::unique_ptr<OptionNode>> options_;
};

class CommandLineImpl final : public CommandLine {
 public:
  CommandLineImpl(const std::string& name,
                  const std::string& description,
                  const std::string& version)
      : app_(description, name), root_(&app_) {
    app_.set_version_flag("--version", version);
    // Global options may follow the command.
    app_.fallthrough();
    app_.require_subcommand(1);
  }

  Command& root() override { return root_; }

  ParseOutcome parse(const std::vector<std::string>& arguments) override {
    // CLI11 takes the arguments from the back.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
      app_.parse(reversed);
    } catch (const CLI::ParseError& error) {
      std::ostringstream out;
      std::ostringstream err;
      if (const std::string unknown = unknown_command(); !unknown.empty()) {
        return {false, kExitUsage, "", unknown};
      }
      const int code = app_.exit(error, out, err);
      return {false, code == 0 ? kExitDone : kExitUsage, out.str(), err.str()};
    }
    return {true, kExitDone, "", ""};
  }

 private:
  // CLI11 says only that a subcommand is required when a word is none.
  [[nodiscard]] std::string unknown_command() const {
    const CLI::App* app = &app_;
    std::string path = app_.get_name();
    while (!app->get_subcommands().empty()) {
      app = app->get_subcommands().front();
      path += " " + app->get_name();
    }
    std::vector<std::string> names;
    for (const CLI::App* sub : app->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(sub->get_name());
    }
    const std::vector<std::string> left = app_.remaining(true);
    if (names.empty() || left.empty() || left.front().starts_with('-')) {
      return "";
    }
    const std::string_view nearest = nearest_name(left.front(), names);
    return path + " has no command '" + printable(left.front()) + "'" +
           (nearest.empty() ? "" : "; did you mean '" + std::string{nearest} + "'?") + "\nRun '" +
           path + " --help' for the list.\n";
  }

  CLI::App app_;
  CommandNode root_;
};

}  // namespace

std::unique_ptr<CommandLine> CommandLine::make(const std::string& name,
                                               const std::string& description,
                                               const std::string& version) {
  return std::make_unique<CommandLineImpl>(name, description, version);
}

}  // namespace skerry::cli
