"""What requests that enqueue cost a web server in connections and files."""
