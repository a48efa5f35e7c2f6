"""What speaks to WTS Chat."""
