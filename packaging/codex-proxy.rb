# The formula for Homebrew. `scripts/release formula OWNER/codex-proxy` fills in what stands in capitals, from dist/SHA256SUMS.
class CodexProxy < Formula
  desc "Use a ChatGPT plan from any tool that speaks OpenAI's or Anthropic's API"
  homepage "https://github.com/REPOSITORY"
  version "VERSION"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/REPOSITORY/releases/download/vVERSION/codex-proxy-macos-aarch64.tar.gz"
      sha256 "SHA256_MACOS_AARCH64"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/REPOSITORY/releases/download/vVERSION/codex-proxy-linux-aarch64.tar.gz"
      sha256 "SHA256_LINUX_AARCH64"
    end
    on_intel do
      url "https://github.com/REPOSITORY/releases/download/vVERSION/codex-proxy-linux-x86_64.tar.gz"
      sha256 "SHA256_LINUX_X86_64"
    end
  end

  def install
    bin.install "codex-proxy"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/codex-proxy"
    zsh_completion.install "completions/_codex-proxy"
    fish_completion.install "completions/codex-proxy.fish"
  end

  service do
    run [opt_bin/"codex-proxy", "serve"]
    keep_alive crashed: true
    log_path var/"log/codex-proxy.log"
    error_log_path var/"log/codex-proxy.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/codex-proxy --version")
    assert_match "not serving", shell_output("#{bin}/codex-proxy health --port 9", 1)
  end
end
